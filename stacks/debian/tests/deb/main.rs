//! `.deb` files, good and bad, and dpkg's database as we write it.

mod database;
mod made_up;
mod reading;
mod unpacking;
