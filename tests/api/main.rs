//! The program over sockets: the real application on port 0, real peers wherever there are any.

mod support;

mod auth_webhook;
mod browser;
mod camera;
mod discovery;
mod errors;
mod events;
mod examples;
mod ffmpeg;
mod files;
mod http_camera;
mod identity;
mod lazy_start;
mod media;
mod mediamtx;
mod mediamtx_identity;
mod mediamtx_paths;
mod mediamtx_pull;
mod mediamtx_recordings;
mod mjpeg;
mod nas;
mod operations;
mod original;
mod pages;
mod push;
mod restart;
mod rtsp;
mod rtsp_camera;
mod rtsp_players;
mod secrets;
mod sign_in;
mod snapshot;
mod streams;
mod tls;
mod upload;
