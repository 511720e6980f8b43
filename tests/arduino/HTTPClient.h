// PUT by curl, to the address in SIDECAR_FRAME_URL instead of the sketch's.
#pragma once
#include "Arduino.h"
class HTTPClient {
  std::string headers, answer;

public:
  void setReuse(bool) {}
  void setTimeout(int) {}
  void begin(const char *) { headers.clear(); }
  void setAuthorization(const char *user, const char *password) { headers += std::string(" --user '") + user + ":" + password + "'"; }
  void addHeader(const char *name, const char *value) { headers += std::string(" -H '") + name + ": " + value + "'"; }
  int PUT(uint8_t *data, size_t length) {
    std::string command = "curl -s -w '\\n%{http_code}' -X PUT --data-binary @" + std::string(getenv("CAMERA_PICTURE")) + headers + " " + getenv("SIDECAR_FRAME_URL");
    (void)data;
    (void)length;
    FILE *pipe = popen(command.c_str(), "r");
    char buffer[1000] = {};
    size_t n = fread(buffer, 1, sizeof buffer - 1, pipe);
    pclose(pipe);
    answer = std::string(buffer, n);
    size_t line = answer.rfind('\n');
    return line == std::string::npos ? -1 : atoi(answer.c_str() + line + 1);
  }
  std::string getString() { return answer; }
  void end() {}
};
