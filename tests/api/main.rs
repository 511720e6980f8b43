//! The program over sockets: the real application on port 0, real peers wherever there are any.

mod support;

mod accessibility;
mod auth_webhook;
mod browser;
mod camera;
mod errors;
mod events;
mod examples;
mod ffmpeg;
mod files;
mod first_page;
mod identity;
mod lazy_start;
mod media;
mod mediamtx;
mod mediamtx_identity;
mod mediamtx_paths;
mod mediamtx_recordings;
mod mjpeg;
mod operations;
mod overview;
mod pages;
mod push;
mod restart;
mod rtsp;
mod rtsp_players;
mod secrets;
mod sign_in;
mod snapshot;
mod streams;
mod tls;
mod upload;
mod viewer;
mod viewer_players;
