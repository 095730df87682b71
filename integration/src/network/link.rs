//! A TCP forwarder to a server, which a test can cut and slow down.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// What becomes of bytes on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// They arrive this much later.
    Open(Duration),
    /// Connections break, and new ones break at once.
    Cut,
}

/// A forwarder on a port of its own, gone with the value.
#[derive(Debug)]
pub struct Link {
    port: u16,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

impl Link {
    /// To a port of this machine.
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let (state, receiver) = watch::channel(State::Open(Duration::ZERO));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, target, receiver.clone()));
            }
        });
        Self { port, state, task }
    }

    /// Where to connect instead of the target.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Breaks all connections, and every new one until it is healed.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// As new: open, and not slow.
    pub fn heal(&self) {
        self.delay(Duration::ZERO);
    }

    /// Lets every request arrive this much later; answers are not delayed. An hour loses
    /// everything.
    pub fn delay(&self, delay: Duration) {
        self.state.send_replace(State::Open(delay));
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
        // Ends those that are open, too.
        self.cut();
    }
}

/// One connection, until one of the two ends it or it is cut.
async fn carry(client: TcpStream, target: u16, mut state: watch::Receiver<State>) {
    // An end that comes as a surprise.
    let _ = client.set_zero_linger();
    if *state.borrow() == State::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    let ((mut from_client, mut to_client), (mut from_server, to_server)) =
        (client.into_split(), server.into_split());
    let requests = slowly(&mut from_client, to_server, state.clone());
    let answers = async {
        copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::select! {
        _ = async { tokio::join!(requests, answers) } => {}
        _ = state.wait_for(|state| *state == State::Cut) => {}
    }
}

async fn slowly(
    from: &mut OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: watch::Receiver<State>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        let delay = match *state.borrow() {
            State::Open(delay) => delay,
            State::Cut => return Ok(()),
        };
        if !delay.is_zero() {
            sleep(delay).await;
        }
        match &buffer[..length] {
            [] => return to.shutdown().await,
            bytes => to.write_all(bytes).await?,
        }
    }
}
