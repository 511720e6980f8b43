//! How a route is declared: once, at its handler.
//!
//! `#[utoipa::path(…)]` above a handler has the pattern of its address, its methods and its documentation. [`routes!`] lists
//! handlers; the server's resources and the OpenAPI document follow from that list.
//!
//! Patterns are those of actix-web: `{name}` is one segment, `{name:.+}` can contain slashes, `{kind:jpg|jpeg}` is one of two
//! words. OpenAPI has only `{name}`.

use actix_web::{
    HttpRequest, HttpResponse, Resource, ResponseError,
    dev::HttpServiceFactory,
    guard::{GuardContext, fn_guard},
    http::{
        Method,
        header::{self, HeaderValue},
    },
    middleware::from_fn,
    web,
};
use utoipa::openapi::{
    Components, Content, ContentBuilder, HttpMethod, ObjectBuilder, OpenApi, Paths, Ref, RefOr, Required,
    ResponseBuilder, Type,
    path::{Operation, OperationBuilder, ParameterBuilder, ParameterIn},
};

use super::{Problem, crash, endless};
use crate::{
    error::{Code, Error},
    output::http::{EndlessOutput, Output, OutputKind},
};

/// The media type of error bodies.
const PROBLEM: &str = "application/problem+json";

/// Whether a resource answers this request. If not, the next one that matches its address does.
type Guard = fn(&GuardContext<'_>) -> bool;

/// Adds a handler for a method to a resource.
#[derive(Clone, Copy)]
enum Add {
    Handler(fn(Resource, Method) -> Resource),
    Output(&'static EndlessOutput),
}

/// A handler in the list of routes.
pub(super) struct Route {
    /// Module and name, such as `watch::snapshot`.
    handler: &'static str,
    /// What its attribute says.
    declaration: fn() -> OpenApi,
    add: fn(Resource, Method) -> Resource,
    pattern: Option<&'static str>,
    guard: Option<Guard>,
}

impl Route {
    pub(super) const fn new(
        handler: &'static str,
        declaration: fn() -> OpenApi,
        add: fn(Resource, Method) -> Resource,
    ) -> Self {
        Route { handler, declaration, add, pattern: None, guard: None }
    }

    /// Another address of the handler.
    pub(super) const fn at(self, pattern: &'static str) -> Self {
        Route { pattern: Some(pattern), ..self }
    }

    /// Only for requests of which this is true.
    pub(super) const fn when(self, guard: Guard) -> Self {
        Route { guard: Some(guard), ..self }
    }
}

/// A list of routes: `module::handler`, with `at "/another/{address}"` for a second address and `when module::guard` for a
/// condition. The first one that matches an address answers, so the specific ones stand before the general ones. Handlers of
/// the same address, for several methods, stand together.
macro_rules! routes {
    ($($($handler:ident)::+ $(at $pattern:literal)? $(when $($guard:ident)::+)?),+ $(,)?) => {
        &[$({
            #[derive(utoipa::OpenApi)]
            #[openapi(paths($($handler)::+))]
            struct Declared;
            $crate::web::routes::Route::new(
                stringify!($($handler)::+),
                <Declared as utoipa::OpenApi>::openapi,
                |resource, method| resource.route(actix_web::web::method(method).to($($handler)::+)),
            )
            $(.at($pattern))?
            $(.when($($guard)::+))?
        }),+]
    };
}
pub(super) use routes;

/// One handler for one method of an address.
struct Answer {
    method: Method,
    add: Add,
    /// Boxed, and left out of the addresses that the server keeps: all of them take megabytes.
    operation: Option<Box<Operation>>,
}

/// An address of the server, with the handlers of all its methods.
pub struct Address {
    pattern: String,
    guard: Option<Guard>,
    answers: Vec<Answer>,
    components: Components,
}

impl Address {
    /// All addresses: those of the routes in their order, then those of the endless outputs. `documented` says whether they
    /// keep their documentation.
    pub(super) fn all(routes: &[Route], outputs: &[Output], documented: bool) -> Vec<Address> {
        let mut all: Vec<Address> = vec![];
        for route in routes {
            let (pattern, mut answers, mut components) = declared(route);
            if !documented {
                answers.iter_mut().for_each(|answer| answer.operation = None);
                components = Components::default();
            }
            match all.last_mut() {
                Some(last) if last.pattern == pattern && last.guard.is_some() == route.guard.is_some() => {
                    last.answers.extend(answers);
                    last.components.schemas.extend(components.schemas);
                }
                _ => all.push(Address { pattern, guard: route.guard, answers, components }),
            }
        }
        for output in outputs {
            if let Output::Endless(output) = output {
                let answers = [Method::GET, Method::HEAD].map(|method| Answer {
                    operation: documented.then(|| Box::new(operation(output, &method))),
                    method,
                    add: Add::Output(output),
                });
                let (pattern, answers) = (pattern(&output.kind), answers.into());
                all.push(Address { pattern, guard: None, answers, components: Components::default() });
            }
        }
        all
    }

    /// The address as actix-web has it, such as `/stream/{name:.+}.mjpeg`.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The address as OpenAPI has it, such as `/stream/{name}.mjpeg`.
    pub fn path(&self) -> String {
        plain(&self.pattern)
    }

    /// The methods that have a handler.
    pub fn methods(&self) -> impl Iterator<Item = &Method> {
        self.answers.iter().map(|answer| &answer.method)
    }

    /// The resource that answers. Other methods get 405 with the list of those that are supported.
    pub(super) fn resource(&self) -> impl HttpServiceFactory + use<> {
        let mut resource = web::resource(self.pattern.as_str());
        if let Some(guard) = self.guard {
            resource = resource.guard(fn_guard(guard));
        }
        for answer in &self.answers {
            resource = match answer.add {
                Add::Handler(add) => add(resource, answer.method.clone()),
                Add::Output(output) => resource.route(endless::route(answer.method.clone(), output)),
            };
        }
        let allowed = self.methods().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let resource = resource.default_service(web::to(move |request: HttpRequest| {
            let refusal = method_not_allowed(&request, &allowed);
            async move { refusal }
        }));
        resource.wrap(from_fn(crash::answer_panics))
    }

    /// Adds the documentation of the address.
    pub(super) fn document(&self, paths: &mut Paths, components: &mut Components) {
        components.schemas.extend(self.components.schemas.clone());
        for answer in &self.answers {
            let method = match answer.method {
                Method::GET => HttpMethod::Get,
                Method::HEAD => HttpMethod::Head,
                Method::PUT => HttpMethod::Put,
                Method::POST => HttpMethod::Post,
                Method::PATCH => HttpMethod::Patch,
                _ => HttpMethod::Delete,
            };
            if let Some(operation) = &answer.operation {
                paths.add_path_operation(self.path(), vec![method], (**operation).clone());
            }
        }
    }
}

/// What a handler's attribute says: the pattern, and an answer for each method.
fn declared(route: &Route) -> (String, Vec<Answer>, Components) {
    let OpenApi { paths, components, .. } = (route.declaration)();
    let (mut pattern, mut answers) = (String::new(), vec![]);
    let id = route.handler.replace(' ', "").replace("::", "_");
    for (path, item) in paths.paths {
        let methods = [
            (Method::GET, item.get),
            (Method::HEAD, item.head),
            (Method::PUT, item.put),
            (Method::POST, item.post),
            (Method::PATCH, item.patch),
            (Method::DELETE, item.delete),
        ];
        for (method, operation) in methods {
            let Some(mut operation) = operation else { continue };
            // Unique in the document (OpenAPI 3.1, section 4.8.10): the first method of the first address has the plain name.
            operation.operation_id = match (route.pattern, answers.is_empty()) {
                (Some(_), _) => None,
                (None, true) => Some(id.clone()),
                (None, false) => Some(format!("{id}_{}", method.as_str().to_ascii_lowercase())),
            };
            problems_as_they_are_sent(&mut operation);
            answers.push(Answer { method, add: Add::Handler(route.add), operation: Some(Box::new(operation)) });
        }
        pattern = path;
    }
    let pattern = route.pattern.map_or(pattern, str::to_owned);
    (pattern, answers, components.unwrap_or_default())
}

/// The attributes leave the media type of error bodies to utoipa, which writes `application/json`.
fn problems_as_they_are_sent(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(response) = response else { continue };
        let is_problem = match response.content.get("application/json") {
            Some(RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. })) => {
                schema.ref_location.ends_with("/ProblemDocument")
            }
            _ => false,
        };
        if is_problem && let Some(content) = response.content.shift_remove("application/json") {
            response.content.insert(PROBLEM.into(), content);
        }
    }
}

/// The pattern of an output's address.
pub(super) fn pattern(output: &OutputKind) -> String {
    output.path.replace("{name}", "{name:.+}")
}

/// The documentation of an endless output.
fn operation(output: &EndlessOutput, method: &Method) -> Operation {
    let name = ParameterBuilder::new()
        .name("name")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("Can contain slashes"))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
    let found = ResponseBuilder::new().content(output.kind.content_type, ContentBuilder::new().build());
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemDocument"))).build();
    let unknown = ResponseBuilder::new().content(PROBLEM, problem);
    let id = match *method {
        Method::GET => output.kind.word.to_owned(),
        _ => format!("{}_{}", output.kind.word, method.as_str().to_ascii_lowercase()),
    };
    OperationBuilder::new()
        .operation_id(Some(id))
        .summary(Some(output.kind.about))
        .tag("pictures out")
        .parameters(Some(std::iter::once(name.build()).chain((output.parameters)())))
        .response("200", found)
        .response("404", unknown)
        .build()
}

/// A pattern without the rules of its variables.
fn plain(pattern: &str) -> String {
    let mut parts = pattern.split('{');
    let mut path = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (variable, rest) = part.split_once('}').unwrap_or((part, ""));
        let name = variable.split(':').next().unwrap_or_default();
        path.push_str(&format!("{{{name}}}{rest}"));
    }
    path
}

/// 405, with the methods that are supported (RFC 9110, section 15.5.6).
pub(super) fn method_not_allowed(request: &HttpRequest, allowed: &str) -> HttpResponse {
    let message = format!("{} does not support {}", request.path(), request.method());
    let mut response = Problem::from(Error::new(Code::MethodNotAllowed, message)).error_response();
    if let Ok(allowed) = HeaderValue::from_str(allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use actix_web::dev::ResourceDef;

    use super::*;
    use crate::web::{ROUTES, addresses};

    #[test]
    fn patterns_become_addresses_of_openapi() {
        for (pattern, path) in [
            ("/api/v1/streams", "/api/v1/streams"),
            ("/stream/{name:.+}.mjpeg", "/stream/{name}.mjpeg"),
            ("/webcam{n:[0-9]?}/{what:stream|snapshot|state}", "/webcam{n}/{what}"),
            ("/api/{camera}/latest.{kind:jpg|jpeg}", "/api/{camera}/latest.{kind}"),
        ] {
            assert_eq!(plain(pattern), path);
        }
    }

    #[test]
    fn no_address_is_hidden_by_an_earlier_one() {
        for address in addresses() {
            let mut at = address.pattern.replace("{n:[0-9]?}", "1");
            for words in ["stream|snapshot|state", "jpg|jpeg"] {
                at = at.replace(&format!(":{words}}}"), "}");
            }
            let at = plain(&at).replace("{kind}", "jpg").replace("{what}", "stream").replace(['{', '}'], "");
            let answers = |other: &&Address| other.guard.is_none() && ResourceDef::new(other.pattern()).is_match(&at);
            let first = addresses().iter().find(answers).map(Address::pattern);
            assert!(address.guard.is_some() || first == Some(address.pattern()), "{at} is answered by {first:?}");
        }
        let patterns: Vec<_> = addresses().iter().map(Address::pattern).collect();
        let again = patterns.iter().enumerate().find(|(i, pattern)| patterns[..*i].contains(pattern));
        assert_eq!(again, None, "handlers of one address stand together");
    }

    /// The document has one schema for each name: with two, one would silently describe the other's data.
    #[test]
    fn schemas_of_the_same_name_are_the_same() {
        let mut all = BTreeMap::new();
        for route in ROUTES {
            let components = (route.declaration)().components.unwrap_or_default();
            for (name, schema) in components.schemas {
                let schema = serde_json::to_value(schema).expect("plain data");
                let known = all.entry(name.clone()).or_insert(schema.clone());
                assert_eq!(*known, schema, "two types have the name {name} in the OpenAPI document: {}", route.handler);
            }
        }
        assert!(all.len() > 50, "{:?}", all.keys());
    }
}
