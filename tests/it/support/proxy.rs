//! An HTTP proxy that requires a password and connects each host name to a server of the test.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

pub(crate) struct Proxy {
    /// Required value of `Proxy-Authorization`, `Basic ...`.
    password: String,
    /// Address of the server for each host.
    hosts: BTreeMap<String, String>,
    /// Host of each accepted connection.
    connected: Mutex<Vec<String>>,
}

impl Proxy {
    pub(crate) fn new(password: String, hosts: &[(&str, &str)]) -> Arc<Self> {
        let owned = hosts
            .iter()
            .map(|(host, address)| ((*host).to_owned(), (*address).to_owned()));
        Arc::new(Self {
            password,
            hosts: owned.collect(),
            connected: Mutex::default(),
        })
    }

    /// Starts to serve. Returns the address.
    pub(crate) async fn serve(self: &Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let proxy = Arc::clone(&proxy);
                tokio::spawn(async move { proxy.handle(stream).await });
            }
        });
        address.to_string()
    }

    /// Returns the hosts it connected clients to.
    pub(crate) fn connected(&self) -> Vec<String> {
        self.connected.lock().unwrap().clone()
    }

    /// Handles a connection. All its requests go to the host of the first.
    async fn handle(&self, mut stream: TcpStream) -> Option<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        let is_header = |line: &&str| line.to_lowercase().starts_with("proxy-authorization: ");
        let header = text.lines().find(is_header);
        if header.is_none_or(|line| !line.ends_with(&self.password)) {
            let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"proxy\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            return stream.write_all(refusal.as_bytes()).await.ok();
        }
        let mut words = text.split_whitespace();
        let (method, target) = (words.next()?, words.next()?);
        let authority = target.strip_prefix("http://").unwrap_or(target);
        let host = authority.split(['/', ':']).next()?;
        self.connected.lock().unwrap().push(host.to_owned());
        let mut server = TcpStream::connect(self.hosts.get(host)?).await.ok()?;
        if method == "CONNECT" {
            let established = b"HTTP/1.1 200 Connection established\r\n\r\n";
            stream.write_all(established).await.ok()?;
        } else {
            server.write_all(&head).await.ok()?;
        }
        copy_bidirectional(&mut stream, &mut server).await.ok()?;
        Some(())
    }
}
