// A library in C++: allocates, throws, and runs out of memory.
#include <cstdint>
#include <new>
#include <string>
#include <vector>

static volatile std::size_t huge = SIZE_MAX / 2 - 4096;

extern "C" int work() {
    std::vector<std::string> words;
    for (int i = 0; i < 1000; i++) words.push_back(std::string(i, 'x'));
    if (operator new(huge, std::nothrow)) return 1;
    try {
        operator delete(operator new(huge));
    } catch (const std::bad_alloc &) {
        return words.size() == 1000 ? 0 : 2;
    }
    return 3;
}
