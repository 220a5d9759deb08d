//! A gRPC server of a few unary calls, over one HTTP/2 connection.
//!
//! Format: gRPC's "HTTP/2 protocol mapping". A message is a zero byte (not compressed), its
//! length in four bytes, and itself; the status comes in the trailers.

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use hyper::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};

/// No request to us is longer.
const LONGEST: usize = 64 * 1024;

/// A status that is not "OK".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Status {
    InvalidArgument = 3,
    NotFound = 5,
    Unimplemented = 12,
}

/// Serves calls until the other side closes the connection. `answer` gets the path of a
/// call and its message.
pub(super) async fn serve<S>(
    stream: S,
    answer: impl Fn(&str, &[u8]) -> Result<Vec<u8>, Status> + Send + Sync,
) -> Result<(), h2::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connection = h2::server::handshake(stream).await?;
    let mut calls = Vec::new();
    loop {
        // The connection only moves while it is polled, so calls are polled beside it.
        let next = tokio::select! {
            next = connection.accept() => next,
            () = finished(&mut calls) => continue,
        };
        match next {
            Some(call) => {
                let (request, respond) = call?;
                calls.push(Box::pin(serve_one(request, respond, &answer)));
            }
            None => return Ok(()),
        }
    }
}

/// Polls all calls; ready when one has ended, which it then removes.
async fn finished<F: Future<Output = ()> + Unpin + Send>(calls: &mut Vec<F>) {
    std::future::poll_fn(|context| {
        let before = calls.len();
        calls.retain_mut(|call| std::pin::Pin::new(call).poll(context).is_pending());
        if calls.len() < before {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

async fn serve_one(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    answer: &(impl Fn(&str, &[u8]) -> Result<Vec<u8>, Status> + Send + Sync),
) {
    let (head, body) = request.into_parts();
    let answered = match read(body).await {
        Ok(message) => answer(head.uri.path(), &message),
        Err(status) => Err(status),
    };
    if let Err(error) = reply(respond, answered) {
        tracing::debug!(%error, path = head.uri.path(), "a call of the engine broke");
    }
}

/// The message of a unary call.
async fn read(mut body: RecvStream) -> Result<Bytes, Status> {
    let mut bytes = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part.map_err(|_| Status::InvalidArgument)?;
        let released = body.flow_control().release_capacity(part.len());
        bytes.extend_from_slice(&part);
        if released.is_err() || bytes.len() > LONGEST {
            return Err(Status::InvalidArgument);
        }
    }
    let bytes = bytes.freeze();
    let head = bytes.get(..5).ok_or(Status::InvalidArgument)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let message = bytes.slice(5..);
    let is_whole = head[0] == 0 && usize::try_from(length).is_ok_and(|n| n == message.len());
    is_whole.then_some(message).ok_or(Status::InvalidArgument)
}

fn reply(
    mut respond: SendResponse<Bytes>,
    answered: Result<Vec<u8>, Status>,
) -> Result<(), h2::Error> {
    let mut response = Response::new(());
    let grpc = hyper::header::HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    let status = answered.as_ref().err().map_or(0, |status| *status as u8);
    let mut stream = respond.send_response(response, false)?;
    if let Ok(message) = answered {
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let mut framed = BytesMut::with_capacity(message.len() + 5);
        framed.extend_from_slice(&[0]);
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(&message);
        stream.send_data(framed.freeze(), false)?;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", u16::from(status).into());
    stream.send_trailers(trailers)
}
