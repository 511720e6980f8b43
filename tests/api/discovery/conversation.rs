//! One conversation with an ONVIF device from its beginning to its end.

use serde_json::json;

use super::{SETTINGS, fake::LOGIN};
use crate::support::{TestApp, script::Script};

/// An answer with this element in its body.
fn soap(status: &str, element: &str) -> String {
    let envelope = "http://www.w3.org/2003/05/soap-envelope";
    format!(
        "HTTP/1.1 {status}\nContent-Type: application/soap+xml\n\n\
         <s:Envelope xmlns:s=\"{envelope}\"><s:Body>{element}</s:Body></s:Envelope>"
    )
}

/// An optional action that the device does not have (ONVIF Core, table of faults).
fn not_supported() -> String {
    let code = "<s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>ter:ActionNotSupported</s:Value></s:Subcode></s:Code>";
    soap("500 x", &format!("<s:Fault>{code}<s:Reason><s:Text>not implemented</s:Text></s:Reason></s:Fault>"))
}

/// A device of the first generation, whose clock begins in 2016 at each start. The token of every later request has the time
/// of that clock.
#[tokio::test]
async fn a_device_is_asked_for_its_time_its_services_its_profiles_and_their_addresses() {
    let time = "<Time><Hour>0</Hour><Minute>0</Minute><Second>30</Second></Time>";
    let date = "<Date><Year>2016</Year><Month>1</Month><Day>1</Day></Date>";
    let profile = "<Profiles token=\"main\"><Name>Main</Name><VideoEncoderConfiguration><Encoding>H264</Encoding>\
        <Resolution><Width>1920</Width><Height>1080</Height></Resolution></VideoEncoderConfiguration></Profiles>";
    let token = "<wsse:Username>admin</wsse:Username>\n<wsu:Created>2016-01-01T00:0*</wsu:Created>";
    let device = Script::bind()
        .await
        .expect("POST /onvif/device_service HTTP/1.1\n<s:Body><x:GetSystemDateAndTime>")
        .answer(&soap(
            "200 OK",
            &format!("<GetSystemDateAndTimeResponse><SystemDateAndTime><UTCDateTime>{time}{date}</UTCDateTime></SystemDateAndTime></GetSystemDateAndTimeResponse>"),
        ))
        .expect("POST /onvif/device_service HTTP/1.1\n<s:Body><x:GetServices>")
        .answer(&not_supported())
        .expect("POST /onvif/device_service HTTP/1.1\n<s:Body><x:GetCapabilities>")
        .answer(&soap(
            "200 OK",
            "<GetCapabilitiesResponse><Capabilities><Media><XAddr>http://{addr}/onvif/media</XAddr></Media></Capabilities></GetCapabilitiesResponse>",
        ))
        .expect(&format!("POST /onvif/device_service HTTP/1.1\n{token}\n<s:Body><x:GetDeviceInformation>"))
        .answer(&soap(
            "200 OK",
            "<GetDeviceInformationResponse><Manufacturer>Acme</Manufacturer><Model>C1</Model></GetDeviceInformationResponse>",
        ))
        .expect(&format!("POST /onvif/media HTTP/1.1\n{token}\n<s:Body><x:GetProfiles>"))
        .answer(&soap("200 OK", &format!("<GetProfilesResponse>{profile}</GetProfilesResponse>")))
        .expect(&format!("POST /onvif/media HTTP/1.1\n{token}\n<x:GetStreamUri>*<x:ProfileToken>main</x:ProfileToken>"))
        .answer(&soap(
            "200 OK",
            "<GetStreamUriResponse><MediaUri><Uri>rtsp://127.0.0.1/main</Uri></MediaUri></GetStreamUriResponse>",
        ))
        .expect(&format!("POST /onvif/media HTTP/1.1\n{token}\n<x:GetSnapshotUri>"))
        .answer(&not_supported());
    let app = TestApp::with(SETTINGS);
    let address = format!("http://{}/onvif/device_service", device.addr());
    let body = json!({"address": address, "user": LOGIN.0, "pass": LOGIN.1}).to_string();
    let (answer, ()) = tokio::join!(app.admin("POST", "/api/v1/discover/onvif", &body), device.play());
    assert_eq!(answer.status, 200, "{answer:?}");
    let card = answer.json();
    assert_eq!(
        (&card["manufacturer"], &card["model"], &card["needs_credentials"]),
        (&json!("Acme"), &json!("C1"), &json!(false))
    );
    let expected = json!([{
        "token": "main", "name": "Main", "codec": "H264", "width": 1920, "height": 1080, "stream_uri": "rtsp://127.0.0.1/main",
    }]);
    assert_eq!(card["profiles"], expected, "{card}");
    assert!(card["clock_offset_seconds"].as_i64().is_some_and(|offset| offset < -86_400), "{card}");
}
