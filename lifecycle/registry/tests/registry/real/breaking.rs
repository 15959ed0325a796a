//! A connection that breaks: whoever sends more than so many bytes through it is cut off, a number of times.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

/// Passes connections on to `target`, and gives the address to use instead of it. `cuts` is how often one that has sent `limit`
/// bytes is cut off.
pub(super) fn passing_on_to(target: &str, limit: usize, cuts: u32) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let target = target.to_owned();
    let cuts = Arc::new(AtomicU32::new(cuts));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (target, cuts) = (target.clone(), Arc::clone(&cuts));
            // An end of either side ends both, whatever the reason.
            thread::spawn(move || drop(pass(&client, &target, limit, &cuts)));
        }
    });
    address
}

fn pass(client: &TcpStream, target: &str, limit: usize, cuts: &AtomicU32) -> io::Result<()> {
    let server = TcpStream::connect(target)?;
    let (mut from, mut to) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        drop(io::copy(&mut from, &mut to));
        drop(to.shutdown(Shutdown::Both));
    });
    let (mut from, mut to) = (client, &server);
    let mut passed = 0;
    let mut piece = [0; 16 << 10];
    loop {
        let count = from.read(&mut piece)?;
        passed += count;
        let is_cut = passed > limit
            && cuts
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                })
                .is_ok();
        if count == 0 || is_cut {
            server.shutdown(Shutdown::Both)?;
            return client.shutdown(Shutdown::Both);
        }
        to.write_all(&piece[..count])?;
    }
}
