//! Users, tokens, shares and keys, for administrators.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Problem, State,
    caller::Admin,
    condition::only_if_new,
    extract::{Body, SMALL, read},
    origin,
    problem::ProblemDocument,
};
use crate::{
    access::LastUse,
    error::{Code, Error},
    identity::{MachineToken, NewShare, NewToken, Share, StoredUser, UserChange},
};

const USER: &str = "/api/v1/users/{name}";
const TOKENS: &str = "/api/v1/tokens";
const TOKEN: &str = "/api/v1/tokens/{id}";
const SHARES: &str = "/api/v1/shares";

/// Most bytes of a QR code. Version 40 with level M has 2331 (ISO/IEC 18004, table 7).
const MAX_QR: usize = 2000;

/// All users.
#[derive(Serialize, ToSchema)]
pub struct UserList {
    /// By name.
    users: Vec<StoredUser>,
}

/// All tokens.
#[derive(Serialize, ToSchema)]
pub struct TokenList {
    /// Newest first.
    tokens: Vec<Used<MachineToken>>,
}

/// All shares.
#[derive(Serialize, ToSchema)]
pub struct ShareList {
    /// Newest first.
    shares: Vec<Used<Share>>,
}

/// A token or a share, with its last use.
#[derive(Serialize, ToSchema)]
pub struct Used<T> {
    #[serde(flatten)]
    description: T,
    /// Its last use since the start of the program; left out if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_use: Option<LastUse>,
}

impl<T> Used<T> {
    fn new(state: &State, id: &str, description: T) -> Self {
        Used { last_use: state.access.last_use(id), description }
    }
}

/// A new token.
#[derive(Serialize, ToSchema)]
pub struct MadeToken {
    /// The token. It is shown only once.
    token: String,
    #[serde(flatten)]
    description: MachineToken,
}

/// A new share.
#[derive(Serialize, ToSchema)]
pub struct MadeShare {
    /// The link. It is shown only once. A browser sends the part behind `#` to no server.
    url: String,
    /// The code of the link, which players can use as `?token=` unless `max_uses` is set.
    code: String,
    /// The link as a QR code (SVG), for phones.
    qr: String,
    #[serde(flatten)]
    description: Share,
}

/// A text for a QR code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QrText {
    /// The text, such as a link; at most 2000 bytes.
    text: String,
}

/// A QR code.
#[derive(Serialize, ToSchema)]
pub struct QrCode {
    /// The code as SVG.
    qr: String,
}

/// A QR code in dark on light with a quiet zone, as scanners need it (ISO/IEC 18004).
fn qr(link: &str) -> Result<String, Error> {
    let code = qrcode::QrCode::with_error_correction_level(link, qrcode::EcLevel::M)
        .map_err(|e| Error::internal("the link does not fit into a QR code", e))?;
    Ok(code.render::<qrcode::render::svg::Color<'_>>().min_dimensions(240, 240).build())
}

/// Options of a key rotation.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rotation {
    /// Whether everything signed so far becomes invalid.
    drop_old: bool,
}

/// Lists users.
#[utoipa::path(
    get, path = "/api/v1/users", tag = "identity",
    responses((status = 200, body = UserList), (status = 401, body = ProblemDocument), (status = 403, body = ProblemDocument))
)]
pub(super) async fn users(state: web::Data<State>, _: Admin) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(UserList { users: state.identity.users().await? }))
}

/// One user of the database.
#[utoipa::path(
    get, path = USER, tag = "identity", params(("name" = String, Path)),
    responses((status = 200, body = StoredUser), (status = 404, body = ProblemDocument))
)]
pub(super) async fn user(state: web::Data<State>, _: Admin, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(state.identity.user(&name).await?))
}

/// Creates a user, or changes one. Sessions of a changed user end. With `If-None-Match: *` a user that exists is not changed.
#[utoipa::path(
    put, path = USER, tag = "identity", params(("name" = String, Path)), request_body = UserChange,
    responses(
        (status = 200, description = "Changed", body = StoredUser), (status = 201, description = "Made", body = StoredUser),
        (status = 409, description = "Defined in sidecar.yml", body = ProblemDocument),
        (status = 412, description = "The user exists, and the request has `If-None-Match: *`", body = ProblemDocument),
        (status = 422, body = ProblemDocument),
    )
)]
pub(super) async fn put_user(
    request: HttpRequest,
    state: web::Data<State>,
    _: Admin,
    name: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let change: UserChange = read(&body, Code::InvalidIdentity)?;
    let is_new = state.identity.put_user_if(&name, change, only_if_new(&request)?).await?;
    let mut response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(state.identity.user(&name).await?))
}

/// Changes an existing user.
#[utoipa::path(
    patch, path = USER, tag = "identity", params(("name" = String, Path)), request_body = UserChange,
    responses((status = 200, body = StoredUser), (status = 404, body = ProblemDocument), (status = 422, body = ProblemDocument))
)]
pub(super) async fn patch_user(
    state: web::Data<State>,
    _: Admin,
    name: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let change: UserChange = read(&body, Code::InvalidIdentity)?;
    state.identity.user(&name).await?;
    state.identity.put_user(&name, change).await?;
    Ok(HttpResponse::Ok().json(state.identity.user(&name).await?))
}

/// Removes a user. The user's sessions end.
#[utoipa::path(
    delete, path = USER, tag = "identity", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument))
)]
pub(super) async fn delete_user(
    state: web::Data<State>,
    _: Admin,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    state.identity.remove_user(&name).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Lists the tokens of programs and cameras.
#[utoipa::path(get, path = TOKENS, tag = "identity", responses((status = 200, body = TokenList)))]
pub(super) async fn tokens(state: web::Data<State>, _: Admin) -> Result<HttpResponse, Problem> {
    let tokens = state.identity.tokens().await?.into_iter();
    let tokens = tokens.map(|token| Used::new(&state, &token.id.clone(), token)).collect();
    Ok(HttpResponse::Ok().json(TokenList { tokens }))
}

/// Creates a token for a program or a camera.
#[utoipa::path(
    post, path = TOKENS, tag = "identity", request_body = NewToken,
    responses((status = 201, body = MadeToken), (status = 422, body = ProblemDocument))
)]
pub(super) async fn make_token(
    state: web::Data<State>,
    Admin(who): Admin,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let (token, description) = state.identity.make_token(read(&body, Code::InvalidIdentity)?, &who.to_string()).await?;
    let made = MadeToken { token, description };
    Ok(HttpResponse::Created().insert_header(("Cache-Control", "no-store")).json(made))
}

/// A token, with its last use.
#[utoipa::path(
    get, path = TOKEN, tag = "identity", params(("id" = String, Path)),
    responses((status = 200, body = Used<MachineToken>), (status = 404, body = ProblemDocument))
)]
pub(super) async fn token(state: web::Data<State>, _: Admin, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let found = state.identity.tokens().await?.into_iter().find(|token| token.id == *id);
    let unknown = || Error::new(Code::UnknownIdentity, "there is no such token");
    let token = found.ok_or_else(unknown)?;
    Ok(HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(Used::new(&state, &id, token)))
}

/// Revokes a token. Its sessions end.
#[utoipa::path(
    delete, path = TOKEN, tag = "identity", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDocument))
)]
pub(super) async fn revoke_token(
    state: web::Data<State>,
    _: Admin,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    state.identity.revoke_token(&id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Lists shares.
#[utoipa::path(get, path = SHARES, tag = "identity", responses((status = 200, body = ShareList)))]
pub(super) async fn shares(state: web::Data<State>, _: Admin) -> Result<HttpResponse, Problem> {
    let shares = state.identity.shares().await?.into_iter();
    let shares = shares.map(|share| Used::new(&state, &share.id.clone(), share)).collect();
    Ok(HttpResponse::Ok().json(ShareList { shares }))
}

/// Creates a link that opens streams for every visitor who has it.
#[utoipa::path(
    post, path = SHARES, tag = "identity", request_body = NewShare,
    responses((status = 201, body = MadeShare), (status = 422, body = ProblemDocument))
)]
pub(super) async fn make_share(
    request: HttpRequest,
    state: web::Data<State>,
    Admin(who): Admin,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let (code, description) = state.identity.make_share(read(&body, Code::InvalidIdentity)?, &who.to_string()).await?;
    let url = format!("{}/viewer/#share={code}", origin::of(&request, &state));
    let made = MadeShare { qr: qr(&url)?, url, code, description };
    Ok(HttpResponse::Created().insert_header(("Cache-Control", "no-store")).json(made))
}

/// Draws a QR code of a link. The text is in the body and in no log, because links can contain tokens.
#[utoipa::path(
    post, path = "/api/v1/qr", tag = "identity", request_body = QrText,
    responses((status = 200, body = QrCode), (status = 400, body = ProblemDocument))
)]
pub(super) async fn qr_code(_: Admin, body: Body<SMALL>) -> Result<HttpResponse, Problem> {
    let QrText { text } = read(&body, Code::InvalidBody)?;
    if text.is_empty() || text.len() > MAX_QR {
        return Err(Error::parameter("text", format!("must have 1 to {MAX_QR} bytes, not {}", text.len())).into());
    }
    Ok(HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(QrCode { qr: qr(&text)? }))
}

/// Revokes a share. Its sessions end.
#[utoipa::path(
    delete, path = "/api/v1/shares/{id}", tag = "identity", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDocument))
)]
pub(super) async fn revoke_share(
    state: web::Data<State>,
    _: Admin,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    state.identity.revoke_share(&id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Rotates the signing keys: the next key signs from now on.
#[utoipa::path(
    post, path = "/api/v1/keys/rotate", tag = "identity", request_body = Rotation,
    responses((status = 204), (status = 403, body = ProblemDocument))
)]
pub(super) async fn rotate_keys(state: web::Data<State>, _: Admin, body: Body<SMALL>) -> Result<HttpResponse, Problem> {
    let rotation: Rotation = if body.is_empty() { Rotation::default() } else { read(&body, Code::InvalidBody)? };
    state.identity.rotate_keys(rotation.drop_old).await?;
    Ok(HttpResponse::NoContent().finish())
}
