//! A reference to a local cannot be returned.
fn create_data<'a>() -> &'a u8 {
    let data = 42;
    &data //~ E0515
}

fn main() {
    println!("{}", create_data());
}
