#pragma once
#include "Arduino.h"
enum { ESP_OK = 0, LEDC_TIMER_0 = 0, LEDC_CHANNEL_0 = 0, PIXFORMAT_JPEG = 4, FRAMESIZE_VGA = 10, CAMERA_GRAB_LATEST = 1 };
struct camera_config_t {
  int pin_pwdn, pin_reset, pin_xclk, pin_sccb_sda, pin_sccb_scl, pin_d7, pin_d6, pin_d5, pin_d4, pin_d3, pin_d2, pin_d1, pin_d0;
  int pin_vsync, pin_href, pin_pclk, xclk_freq_hz, ledc_timer, ledc_channel, pixel_format, frame_size, jpeg_quality, fb_count, grab_mode;
};
struct camera_fb_t {
  uint8_t *buf;
  size_t len;
};
inline int esp_camera_init(const camera_config_t *) { return getenv("CAMERA_PICTURE") ? ESP_OK : -1; }
inline camera_fb_t *esp_camera_fb_get() {
  FILE *file = fopen(getenv("CAMERA_PICTURE"), "rb");
  if (!file) return nullptr;
  auto *picture = new camera_fb_t{new uint8_t[1 << 20], 0};
  picture->len = fread(picture->buf, 1, 1 << 20, file);
  fclose(file);
  return picture;
}
inline void esp_camera_fb_return(camera_fb_t *picture) {
  delete[] picture->buf;
  delete picture;
}
