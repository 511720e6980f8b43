// ESP32-CAM that uploads its pictures to mtx-sidecar by HTTP: one PUT after the other on one connection.
//
// For cameras that the sidecar cannot reach (behind another router, or asleep most of the time). The sidecar needs
// a user that can publish, in auth.users of sidecar.yml, such as
//   {user: cam1, pass: …, permissions: [{action: publish, path: yard/cam1}]}

#include <HTTPClient.h>
#include <WiFi.h>
#include "esp_camera.h"

const char *WIFI_NAME = "your network";
const char *WIFI_PASSWORD = "its password";
const char *URL = "http://192.168.1.2:9995/api/v1/streams/yard/cam1/frame";
const char *USER = "cam1";
const char *PASSWORD = "its password";
const uint32_t EVERY_MS = 1000;

HTTPClient http;

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
  config.grab_mode = CAMERA_GRAB_LATEST;  // the picture of now, not the one before
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
  while (WiFi.status() != WL_CONNECTED) delay(250);
  http.setReuse(true);
  http.setTimeout(5000);
}

void loop() {
  uint32_t began = millis();
  camera_fb_t *picture = esp_camera_fb_get();
  if (picture) {
    http.begin(URL);
    http.setAuthorization(USER, PASSWORD);
    http.addHeader("Content-Type", "image/jpeg");
    int status = http.PUT(picture->buf, picture->len);
    if (status != 200) {
      // The answer is a problem document; its `detail` has the cause in words.
      Serial.print(status);
      Serial.print(" ");
      Serial.println(http.getString());
    }
    http.end();
    esp_camera_fb_return(picture);
  }
  uint32_t took = millis() - began;
  if (took < EVERY_MS) delay(EVERY_MS - took);
}
