#pragma once
#include <cstddef>
inline int mbedtls_base64_encode(unsigned char *out, size_t size, size_t *written, const unsigned char *in, size_t length) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  size_t n = 0;
  if (size < (length + 2) / 3 * 4 + 1) return -0x2A;
  for (size_t i = 0; i < length; i += 3) {
    unsigned v = in[i] << 16 | (i + 1 < length ? in[i + 1] << 8 : 0) | (i + 2 < length ? in[i + 2] : 0);
    out[n++] = letters[v >> 18 & 63];
    out[n++] = letters[v >> 12 & 63];
    out[n++] = i + 1 < length ? letters[v >> 6 & 63] : '=';
    out[n++] = i + 2 < length ? letters[v & 63] : '=';
  }
  out[n] = 0;
  *written = n;
  return 0;
}
