//! A small server that leaks: each connection makes a session whose parts keep each other alive, and
//! history that nobody shortens. It knows nothing of any checking allocator; `docs/walkthrough-leaking-server.md`
//! finds both.
//!
//! `leaking_server REQUESTS` serves that many of its own requests over the loopback interface, and ends.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;

/// Who talks to us.
struct Session {
    name: String,
    cart: RefCell<Option<Rc<Cart>>>,
}

/// What they want; it knows whose it is.
struct Cart {
    lines: Vec<String>,
    _owner: Rc<Session>,
}

/// Answers one connection: one line in, one line out.
fn serve(stream: TcpStream, history: &mut Vec<String>) -> io::Result<()> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let session = open_session(line.trim());
    remember(history, &session.name);
    let cart = session.cart.borrow();
    let count = cart.as_ref().map_or(0, |cart| cart.lines.len());
    writeln!(&stream, "{}: {count}", session.name)
}

/// Makes a session with its cart.
fn open_session(name: &str) -> Rc<Session> {
    let session = Rc::new(Session { name: name.to_owned(), cart: RefCell::new(None) });
    let lines = (1..4).map(|index| format!("{index} x something for {name}")).collect();
    let cart = Rc::new(Cart { lines, _owner: Rc::clone(&session) });
    *session.cart.borrow_mut() = Some(cart);
    session
}

/// Keeps what happened, for ever.
fn remember(history: &mut Vec<String>, name: &str) {
    history.push(format!("{name} was here, and asked for a cart of three things"));
}

fn main() -> io::Result<()> {
    let count: usize = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(100);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let clients = std::thread::spawn(move || -> io::Result<()> {
        for index in 0..count {
            let stream = TcpStream::connect(address)?;
            writeln!(&stream, "customer {index}")?;
            let mut answer = String::new();
            BufReader::new(&stream).read_line(&mut answer)?;
            assert_eq!(answer.trim(), format!("customer {index}: 3"));
        }
        Ok(())
    });
    let mut history = Vec::new();
    for _ in 0..count {
        serve(listener.accept()?.0, &mut history)?;
    }
    clients.join().expect("the clients end")?;
    println!("served {}", history.len());
    Ok(())
}
