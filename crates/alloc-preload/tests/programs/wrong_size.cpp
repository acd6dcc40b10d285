// Deletes a block with another size than it was made with.
#include <new>

int main() {
    operator delete(operator new(24), std::size_t(32));
}
