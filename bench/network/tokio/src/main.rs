//! The echo server on tokio's single-threaded runtime: a task for each connection.

use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BUFFER_SIZE: usize = 64 * 1024;

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER_SIZE];
    loop {
        let size = stream.read(&mut buffer).await?;
        if size == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..size]).await?;
    }
}

async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("port {}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(echo(stream));
    }
}

fn tokio_version() -> &'static str {
    let after = include_str!("../Cargo.lock").split("name = \"tokio\"\nversion = \"").nth(1);
    after.and_then(|text| text.split('"').next()).unwrap_or("")
}

fn main() -> io::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("version") {
        println!("version {}", tokio_version());
        return Ok(());
    }
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(serve())
}
