use std::os::unix::fs::{DirBuilderExt, MetadataExt};

use super::*;
use crate::{Process, ask};

/// A folder of a test's own, which is gone when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("unstuck-inspect-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        Self(path)
    }

    fn server(&self) -> Server {
        Server::start_in(&self.0, "inspect", Arc::new(|request| format!("{{\"asked\":\"{request}\"}}")))
            .unwrap()
    }

    fn names(&self) -> Vec<String> {
        fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn process(server: &Server) -> Process {
    Process { pid: std::process::id(), socket: server.path().to_owned() }
}

#[test]
fn the_owner_is_answered_as_often_as_they_ask() {
    let folder = Folder::new("answers");
    let server = folder.server();
    for _ in 0..3 {
        assert_eq!(ask(&process(&server), &Request::Ps).unwrap(), r#"{"asked":"unstuck/1 ps"}"#);
    }
    assert_eq!(ask(&process(&server), &Request::Cancel(7)).unwrap(), r#"{"asked":"unstuck/1 cancel 7"}"#);
}

#[test]
fn nobody_but_the_owner_may_ask() {
    assert!(may_ask(1000, 1000));
    assert!(!may_ask(1001, 1000));
    assert!(!may_ask(0, 1000), "root becomes the owner first");
}

#[test]
fn the_kernel_tells_who_asks() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    assert_eq!(socket_peercred(&ours).unwrap().uid.as_raw(), place::user());
    drop(theirs);
}

#[test]
fn the_socket_is_closed_to_others_and_goes_with_its_server() {
    let folder = Folder::new("mode");
    let server = folder.server();
    assert_eq!(fs::metadata(server.path()).unwrap().mode() & 0o777, 0o600);
    assert_eq!(folder.names(), [format!("{}.sock", std::process::id())]);
    drop(server);
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn a_server_ends_while_it_waits_for_somebody_to_ask() {
    let folder = Folder::new("ends");
    drop(folder.server()); // returns: its thread was joined
}

#[test]
fn a_wrong_request_is_answered_with_what_is_wrong() {
    let folder = Folder::new("wrong");
    let server = folder.server();
    let answer = |line: &[u8]| {
        let mut stream = UnixStream::connect(server.path()).unwrap();
        stream.write_all(line).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(answer(b"GET / HTTP/1.1\r\n").starts_with(r#"{"version":1,"error":"not a request"#));
    assert!(answer(b"unstuck/1 cancel \"x\\\n").contains("not a task's number: x"));
    // No line break ever comes: what is too long is cut off and refused.
    let mut stream = UnixStream::connect(server.path()).unwrap();
    let _ = stream.write_all(&[b'a'; 4096]);
    // … or bytes that are no text: the connection ends.
    let mut stream = UnixStream::connect(server.path()).unwrap();
    stream.write_all(b"\xff\xfe\n").unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert!(ask(&process(&server), &Request::Ps).is_ok(), "the server goes on");
}

#[test]
fn a_panic_while_looking_is_an_error_and_the_server_goes_on() {
    let folder = Folder::new("panic");
    let answer: Answer = Arc::new(|request| match request {
        Request::Ps => panic!("looked too closely"),
        _ => "{}".into(),
    });
    let server = Server::start_in(&folder.0, "inspect", answer).unwrap();
    assert!(ask(&process(&server), &Request::Ps).unwrap().contains("looking at the tasks failed"));
    assert_eq!(ask(&process(&server), &Request::Tree).unwrap(), "{}");
}

#[test]
fn the_socket_of_a_process_that_is_gone_is_removed() {
    let folder = Folder::new("stale");
    let stale = place::socket(&folder.0, 1);
    drop(UnixListener::bind(&stale).unwrap()); // as a killed process leaves it
    assert!(stale.exists());
    let server = folder.server();
    assert!(!stale.exists());
    assert!(ask(&process(&server), &Request::Ps).is_ok());
}

#[test]
fn a_socket_left_by_a_process_with_our_number_is_replaced() {
    let folder = Folder::new("again");
    drop(UnixListener::bind(place::socket(&folder.0, std::process::id())).unwrap());
    let server = folder.server();
    assert!(ask(&process(&server), &Request::Ps).is_ok());
}

#[test]
fn a_folder_that_others_can_enter_is_refused() {
    let folder = Folder::new("open");
    place::secure(&folder.0).unwrap();
    fs::set_permissions(&folder.0, Permissions::from_mode(0o750)).unwrap();
    let refused = place::secure(&folder.0).unwrap_err();
    assert!(refused.to_string().contains("is open to other users"), "{refused}");
    let link = folder.0.join("link");
    std::os::unix::fs::symlink("/tmp", &link).unwrap();
    let refused = place::secure(&link).unwrap_err();
    assert!(refused.to_string().contains("is no folder"), "{refused}");
    let refused = place::secure(Path::new("/")).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{refused}");
}
