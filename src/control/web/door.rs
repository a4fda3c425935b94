//! The page's address: taken before anything is mounted, so that a port in use ends the start and nothing else.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use tokio::net::TcpListener;

use super::super::registry;
use super::token::Token;

/// Why there is no web page.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The address cannot be had.
    #[error("the web page cannot listen at {address}: {source}{}", advice(source))]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The secret cannot be kept.
    #[error("the secret of the web page cannot be kept: {0}")]
    Token(io::Error),
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program listens there: give another port to web_listen, or port 0 for any free one"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address: 127.0.0.1 is always there",
        io::ErrorKind::PermissionDenied => "; ports below 1024 are for root: give another one to web_listen",
        _ => "",
    }
}

/// A port that is ours, at which nobody is answered yet.
#[derive(Debug)]
pub struct Door {
    pub(super) listener: TcpListener,
    address: SocketAddr,
}

impl Door {
    /// Takes the address; port 0 takes any free one.
    ///
    /// # Errors
    /// [`WebError::Listen`].
    pub async fn take(address: SocketAddr) -> Result<Self, WebError> {
        let failed = |source| WebError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where the page of the mount at `mountpoint` is, and its secret.
    ///
    /// # Errors
    /// [`WebError::Token`].
    pub fn page(&self, mountpoint: &Path) -> Result<WebPage, WebError> {
        let token = registry::web_token(mountpoint).and_then(|file| Token::kept_in(&file));
        Ok(WebPage { address: self.address, token: token.map_err(WebError::Token)? })
    }
}

/// Where the page of a mount is, and the secret that opens it.
#[derive(Debug)]
pub struct WebPage {
    pub(super) address: SocketAddr,
    pub(super) token: Token,
}

impl WebPage {
    /// Its address, which opens nothing by itself.
    pub fn address(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The link that lets a browser in.
    pub fn link(&self) -> String {
        // nobody can browse to "any address"
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("http://{address}/?token={}", self.token.as_str())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_said_with_the_way_out() {
        let door = Door::take("127.0.0.1:0".parse().unwrap()).await.unwrap();
        assert_ne!(door.address.port(), 0);
        let told = Door::take(door.address).await.unwrap_err().to_string();
        assert!(told.contains(&door.address.to_string()) && told.contains("web_listen"), "{told}");
        assert!(!told.contains('\n'), "{told}");
    }

    #[test]
    fn the_link_can_be_followed_and_the_address_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::kept_in(&folder.path().join("t")).unwrap();
        let page = WebPage { address: "0.0.0.0:81".parse().unwrap(), token };
        assert!(page.link().starts_with("http://127.0.0.1:81/?token="), "{}", page.link());
        assert!(!page.address().contains("token"));
    }
}
