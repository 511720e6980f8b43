//! Sign-in, sign-out, and the caller's own account.
//!
//! The refresh token is a cookie that scripts cannot read and other sites cannot send (`SameSite=Strict`). The access token
//! is in the answer, and the page holds it in memory. Together with the refusal of other origins (see `guard`) this prevents
//! cross-site request forgery.

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    cookie::{Cookie, SameSite, time::Duration},
    web,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Problem, State,
    caller::CallerExtractor,
    extract::{Body, SMALL, read},
    ingress, origin,
    problem::ProblemDocument,
};
use crate::{
    access::audit::Asked,
    error::{Code, Error},
    identity::{Grant, Refused, UserChange},
    policy::{Caller, Credentials, Permission, Principal, Verdict},
    secret::Secret,
};

/// The name of the refresh token's cookie.
const COOKIE: &str = "mtx_sidecar_refresh";

/// A name and a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The user name.
    user: String,
    /// The password.
    #[serde(alias = "password")]
    #[schema(value_type = String)]
    pass: Secret,
}

/// The code of a share link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareCode {
    /// The part behind `#share=` of the link.
    #[schema(value_type = String)]
    code: Secret,
}

/// The answer to a sign-in, in the format of RFC 6749, section 5.1.
#[derive(Serialize, ToSchema)]
pub struct Token {
    /// The access token, for `Authorization: Bearer` here and at MediaMTX.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Its lifetime in seconds. `POST /api/v1/login/refresh` gives the next one.
    expires_in: u64,
    /// The user's name, or the share's label.
    user: String,
    /// Whether the caller is a visitor with a share link.
    guest: bool,
    /// Whether the user has to choose a password: the present one was generated, or set by an administrator who asks for that.
    must_change_password: bool,
    /// Its permissions.
    permissions: Vec<Permission>,
}

/// The caller.
#[derive(Serialize, ToSchema)]
pub struct Me {
    /// `user NAME`, `token ID`, `share ID` or `anonymous`.
    who: String,
    /// The user's name, if the principal is a user.
    user: Option<String>,
    /// Where the user is defined: `file` (sidecar.yml, which has the password) or `database`.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'static str>,
    /// Whether the user has to choose a password.
    must_change_password: bool,
    /// Permissions of the principal itself; those of `any` are not listed.
    permissions: Vec<Permission>,
}

/// A change of the caller's own password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The present password.
    #[schema(value_type = String)]
    present: Secret,
    /// The new password, at least 8 characters.
    #[schema(value_type = String)]
    new: Secret,
}

/// Signs a user in.
#[utoipa::path(
    post, path = "/api/v1/login", tag = "identity", request_body = SignIn,
    responses((status = 200, body = Token), (status = 401, body = ProblemDocument), (status = 429, body = ProblemDocument))
)]
pub(super) async fn sign_in(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    body: Body<SMALL>,
) -> Result<HttpResponse, Problem> {
    let SignIn { user, pass } = read(&body, Code::InvalidBody)?;
    let caller = Caller { credentials: Credentials { user: user.clone(), password: pass }, ..caller };
    match state.identity.sign_in(&caller).await {
        Ok(signed_in) => {
            note(&state, &caller, "sign in", signed_in.who);
            Ok(answer(&request, &state, user, false, signed_in.grant))
        }
        Err(refused) => Err(refusal(&state, &caller, "sign in", refused).into()),
    }
}

/// Notes what a caller did with its own sign-in.
fn note(state: &State, caller: &Caller, action: &str, who: Principal) {
    let asked = Asked { action, protocol: "http", ..Asked::default() };
    state.access.note(caller, asked, &Verdict::allowed(who));
}

/// Notes a refusal. Returns what the caller is told.
fn refusal(state: &State, caller: &Caller, action: &str, refused: Refused) -> Error {
    if let Refused::Verdict(verdict) = &refused {
        state.access.refuse(caller, action, verdict);
    }
    refused.into_error()
}

/// Gives the next access token for the sign-in of the cookie, or for a user whom a proxy has signed in (`http.ingress`).
#[utoipa::path(
    post, path = "/api/v1/login/refresh", tag = "identity",
    responses((status = 200, body = Token), (status = 204, description = "This browser has no sign-in"), (status = 401, body = ProblemDocument))
)]
pub(super) async fn refresh(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    // Every page asks. A browser without a sign-in is no error, which would be a red line in its console.
    let Some(cookie) = request.cookie(COOKIE) else {
        let Some(ingress::User { name, permissions }) = ingress::user(&request, &state) else {
            return Ok(HttpResponse::NoContent().finish());
        };
        let signed_in = state.identity.sign_in_by_proxy(&name, permissions)?;
        note(&state, &caller, "sign in by ingress", signed_in.who);
        return Ok(answer(&request, &state, name, false, signed_in.grant));
    };
    match state.identity.refresh(&caller, cookie.value()).await {
        Ok(signed_in) => {
            let name = match &signed_in.who {
                Principal::User(name) => name.to_string(),
                who => who.to_string(),
            };
            let is_guest = !matches!(signed_in.who, Principal::User(_));
            note(&state, &caller, "refresh", signed_in.who);
            Ok(answer(&request, &state, name, is_guest, signed_in.grant))
        }
        Err(refused) => {
            let error = refusal(&state, &caller, "refresh", refused);
            let mut response = actix_web::ResponseError::error_response(&Problem::from(error));
            // The browser must not send an invalid cookie again.
            let _ = response.add_removal_cookie(&bare_cookie(&request, &state, ""));
            Ok(response)
        }
    }
}

/// Ends the sign-in of the cookie, its access tokens, and what was begun with them.
#[utoipa::path(post, path = "/api/v1/logout", tag = "identity", responses((status = 204)))]
pub(super) async fn sign_out(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    if let Some(cookie) = request.cookie(COOKIE)
        && let Some(who) = state.identity.sign_out(cookie.value()).await?
    {
        note(&state, &caller, "sign out", who);
    }
    let mut response = HttpResponse::NoContent().finish();
    let _ = response.add_removal_cookie(&bare_cookie(&request, &state, ""));
    Ok(response)
}

/// Opens a share link: gives an access token, and a cookie for the next ones, for the shared paths only.
#[utoipa::path(
    post, path = "/api/v1/shares/open", tag = "identity", request_body = ShareCode,
    responses((status = 200, body = Token), (status = 401, description = "Expired, revoked, or opened too often", body = ProblemDocument))
)]
pub(super) async fn open_share(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    body: Body<SMALL>,
) -> Result<HttpResponse, Problem> {
    let ShareCode { code } = read(&body, Code::InvalidBody)?;
    let opened = state.identity.open_share(code.expose()).await;
    let opened = opened.map_err(|refused| refusal(&state, &caller, "open share", refused))?;
    note(&state, &caller, "open share", Principal::Share(opened.share.id.as_str().into()));
    Ok(answer(&request, &state, opened.share.label, true, opened.grant))
}

/// The caller's principal and permissions.
#[utoipa::path(
    get, path = "/api/v1/me", tag = "identity",
    responses((status = 200, body = Me), (status = 401, body = ProblemDocument))
)]
pub(super) async fn me(
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
) -> Result<HttpResponse, Problem> {
    if caller.credentials.is_empty() {
        return Ok(HttpResponse::Ok().json(Me {
            who: Principal::Anonymous.to_string(),
            user: None,
            origin: None,
            must_change_password: false,
            permissions: vec![],
        }));
    }
    let (who, permissions) = state.access.permissions_of(&caller, "me").await?;
    let user = match &*who {
        Principal::User(name) => Some(name.to_string()),
        _ => None,
    };
    let origin = user.as_deref().map(|name| state.identity.origin_of(name));
    let must_change_password = user.as_deref().is_some_and(|name| state.identity.must_change_password(name));
    Ok(HttpResponse::Ok().json(Me { who: who.to_string(), user, origin, must_change_password, permissions }))
}

/// Changes the caller's own password. All sign-ins and sessions of the user end. A browser with a sign-in gets the cookie of a new
/// one, with which it goes on.
#[utoipa::path(
    post, path = "/api/v1/me/password", tag = "identity", request_body = PasswordChange,
    responses((status = 204), (status = 401, body = ProblemDocument), (status = 409, description = "Defined in sidecar.yml", body = ProblemDocument))
)]
pub(super) async fn change_password(
    request: HttpRequest,
    state: web::Data<State>,
    CallerExtractor(caller): CallerExtractor,
    body: Body<SMALL>,
) -> Result<HttpResponse, Problem> {
    let (by, _) = state.access.permissions_of(&caller, "change password").await?;
    let Principal::User(name) = by.who else {
        return Err(Error::new(Code::Forbidden, format!("{} has no password", by.who)).into());
    };
    let PasswordChange { present, new } = read(&body, Code::InvalidBody)?;
    let credentials = Credentials { user: name.to_string(), password: present };
    let caller = Caller { credentials, ..caller };
    state.access.authenticate(&caller, "change password").await?;
    if new == caller.credentials.password {
        return Err(Error::new(Code::InvalidIdentity, "new: must not be the present password").in_field("new").into());
    }
    let change = UserChange { pass: Some(new.clone()), ..UserChange::default() };
    state.identity.put_user(&name, change).await.map_err(in_new)?;
    note(&state, &caller, "change password", Principal::User(name.clone()));
    let mut response = HttpResponse::NoContent();
    if request.cookie(COOKIE).is_some() {
        let credentials = Credentials { user: name.to_string(), password: new };
        let signed_in = state.identity.sign_in(&Caller { credentials, ..caller }).await.map_err(Refused::into_error)?;
        add_cookie(&mut response, &request, &state, &signed_in.grant);
    }
    Ok(response.finish())
}

/// The error of a password, for the member of the body that has it.
fn in_new(e: Error) -> Error {
    match e.field() {
        Some("pass") => Error::new(e.code(), e.to_string().replacen("pass:", "new:", 1)).in_field("new"),
        _ => e,
    }
}

/// The public keys of our tokens (RFC 7517), for MediaMTX's `authJWTJWKS`.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "identity", responses((status = 200, content_type = "application/json")))]
pub(super) async fn jwks(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().insert_header(("Cache-Control", "max-age=300")).json(state.identity.jwks())
}

fn answer(request: &HttpRequest, state: &State, user: String, guest: bool, grant: Grant) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    add_cookie(&mut response, request, state, &grant);
    let must_change_password = !guest && state.identity.must_change_password(&user);
    response.insert_header(("Cache-Control", "no-store")).json(Token {
        access_token: grant.access.expose().to_owned(),
        token_type: "Bearer",
        expires_in: grant.expires_in,
        user,
        guest,
        must_change_password,
        permissions: grant.permissions,
    })
}

fn add_cookie(response: &mut HttpResponseBuilder, request: &HttpRequest, state: &State, grant: &Grant) {
    if let Some((token, seconds)) = &grant.refresh {
        let mut cookie = bare_cookie(request, state, token.expose());
        cookie.set_max_age(Duration::seconds(i64::try_from(*seconds).unwrap_or(i64::MAX)));
        cookie.set_secure(origin::is_secure(request, state));
        response.cookie(cookie);
    }
}

fn bare_cookie(request: &HttpRequest, state: &State, value: &str) -> Cookie<'static> {
    let base = ingress::path(request, state).unwrap_or(&state.settings.http.base_path);
    Cookie::build(COOKIE, value.to_owned())
        .path(format!("{base}/api/v1"))
        .http_only(true)
        .same_site(SameSite::Strict)
        .finish()
}
