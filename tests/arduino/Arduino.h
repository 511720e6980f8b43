// What the sketches use of the Arduino core, on a PC.
#pragma once
#include <arpa/inet.h>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

inline void delay(uint32_t ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }
inline uint32_t millis() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class IPAddress {
  in_addr address = {};

public:
  bool fromString(const char *text) { return inet_pton(AF_INET, text, &address) == 1; }
  in_addr native() const { return address; }
};

struct {
  void begin(int) {}
  void print(const char *text) { fputs(text, stderr); }
  void print(int number) { fprintf(stderr, "%d", number); }
  void println(const char *text) { fprintf(stderr, "%s\n", text); }
  void println(const std::string &text) { fprintf(stderr, "%s\n", text.c_str()); }
  void println(const IPAddress &) { fputs("an address\n", stderr); }
} Serial;

struct {
  void restart() { exit(3); }
} ESP;
