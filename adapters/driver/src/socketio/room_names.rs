//! Names of rooms as arguments: one or several.

use engineio_proto::Text;
use socketio_proto::SocketId;

/// One or several rooms: text, the id of a socket (its own room), or an array, slice or vector of texts. As in the reference, methods that
/// take rooms take one or many.
///
/// ```
/// # fn join(socket: &socketio_driver::Socket) {
/// socket.join("lobby");
/// socket.join(["lobby", "news"]);
/// socket.join(vec![format!("user:{}", 7), "news".to_owned()]);
/// socket.to(socket.id()).except(&["a", "b"][..]);
/// # }
/// ```
pub trait RoomNames {
    /// Passes the names to `work`.
    fn with<T>(self, work: impl FnOnce(&[&str]) -> T) -> T;
}

macro_rules! one {
    ($($type:ty),*) => {$(
        impl RoomNames for $type {
            fn with<T>(self, work: impl FnOnce(&[&str]) -> T) -> T {
                let name: &str = self.as_ref();
                work(&[name])
            }
        }
    )*};
}

one!(&str, &&str, &String, &Text, &SocketId);

impl<S: AsRef<str>> RoomNames for &[S] {
    fn with<T>(self, work: impl FnOnce(&[&str]) -> T) -> T {
        match self {
            [one] => work(&[one.as_ref()]),
            many => work(&many.iter().map(AsRef::as_ref).collect::<Vec<_>>()),
        }
    }
}

macro_rules! many {
    ($($type:ty $(, $length:ident)?;)*) => {$(
        impl<S: AsRef<str> $(, const $length: usize)?> RoomNames for $type {
            fn with<T>(self, work: impl FnOnce(&[&str]) -> T) -> T {
                let names: &[S] = self.as_ref();
                names.with(work)
            }
        }
    )*};
}

many! {
    [S; N], N;
    &[S; N], N;
    Vec<S>;
    &Vec<S>;
}
