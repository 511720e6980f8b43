// ESP32-CAM that answers mtx-sidecar by UDP: on each request it takes a picture and sends it.
//
// Board: "AI Thinker ESP32-CAM" (PSRAM enabled). Watch it through MediaMTX at udp/<the camera's address>,
// or directly at http://<sidecar>:9995/mjpeg-get?type=udp&name=<the camera's address>.
//
// The protocol: a datagram {"ipaddress":"192.168.1.2","port":1234} is a request. The answer goes to that address
// as base64 in datagrams of 512 characters; a datagram with a line feed ends the picture.

#include <WiFi.h>
#include <WiFiUdp.h>
#include <mbedtls/base64.h>
#include "esp_camera.h"

const char *WIFI_NAME = "your network";
const char *WIFI_PASSWORD = "its password";
const uint16_t LISTEN_PORT = 1234;  // udp.camera_port in sidecar.yml

const size_t CHARACTERS = 512;                    // of each datagram
const size_t BYTES_EACH = CHARACTERS / 4 * 3;     // bytes in each: only the last one has padding

WiFiUDP udp;

camera_config_t ai_thinker() {
  camera_config_t config = {};
  config.pin_pwdn = 32;
  config.pin_reset = -1;
  config.pin_xclk = 0;
  config.pin_sccb_sda = 26;
  config.pin_sccb_scl = 27;
  config.pin_d7 = 35;
  config.pin_d6 = 34;
  config.pin_d5 = 39;
  config.pin_d4 = 36;
  config.pin_d3 = 21;
  config.pin_d2 = 19;
  config.pin_d1 = 18;
  config.pin_d0 = 5;
  config.pin_vsync = 25;
  config.pin_href = 23;
  config.pin_pclk = 22;
  config.xclk_freq_hz = 20000000;
  config.ledc_timer = LEDC_TIMER_0;
  config.ledc_channel = LEDC_CHANNEL_0;
  config.pixel_format = PIXFORMAT_JPEG;
  config.frame_size = FRAMESIZE_VGA;
  config.jpeg_quality = 12;
  config.fb_count = 2;
  config.grab_mode = CAMERA_GRAB_LATEST;  // the current picture, not the previous one
  return config;
}

void setup() {
  Serial.begin(115200);
  camera_config_t config = ai_thinker();
  if (esp_camera_init(&config) != ESP_OK) {
    Serial.println("no camera; restarting");
    delay(5000);
    ESP.restart();
  }
  WiFi.begin(WIFI_NAME, WIFI_PASSWORD);
  WiFi.setSleep(false);  // a sleeping radio loses the request
  while (WiFi.status() != WL_CONNECTED) delay(250);
  udp.begin(LISTEN_PORT);
  Serial.print("ask me at ");
  Serial.println(WiFi.localIP());
}

// Finds "ipaddress" and "port" in the request. The sidecar's JSON always has this form, so the sketch needs no
// JSON library.
bool parse(const char *text, IPAddress &address, uint16_t &port) {
  const char *ip = strstr(text, "\"ipaddress\":\"");
  const char *number = strstr(text, "\"port\":");
  if (!ip || !number) return false;
  char dotted[40] = {};
  ip += strlen("\"ipaddress\":\"");
  const char *end = strchr(ip, '"');
  if (!end || size_t(end - ip) >= sizeof(dotted)) return false;
  memcpy(dotted, ip, end - ip);
  port = atoi(number + strlen("\"port\":"));
  return address.fromString(dotted) && port != 0;
}

void send(const IPAddress &address, uint16_t port, const uint8_t *data, size_t length) {
  udp.beginPacket(address, port);
  udp.write(data, length);
  udp.endPacket();
}

void sendPicture(const IPAddress &address, uint16_t port) {
  camera_fb_t *picture = esp_camera_fb_get();
  if (!picture) return;
  uint8_t text[CHARACTERS + 1];
  for (size_t at = 0; at < picture->len; at += BYTES_EACH) {
    size_t length = picture->len - at < BYTES_EACH ? picture->len - at : BYTES_EACH;
    size_t written = 0;
    mbedtls_base64_encode(text, sizeof(text), &written, picture->buf + at, length);
    send(address, port, text, written);
    if (at / BYTES_EACH % 16 == 15) delay(1);  // the radio's buffer holds about 20 datagrams
  }
  send(address, port, (const uint8_t *)"\n", 1);
  esp_camera_fb_return(picture);
}

void loop() {
  if (udp.parsePacket() <= 0) {
    delay(2);
    return;
  }
  char request[200] = {};
  udp.read(request, sizeof(request) - 1);
  IPAddress address;
  uint16_t port;
  if (parse(request, address, port)) sendPicture(address, port);
}
