#pragma once
#include "Arduino.h"
#include <sys/socket.h>
#include <unistd.h>

class WiFiUDP {
  int socket_ = -1;
  sockaddr_in to = {};
  std::string out;

public:
  // Binds to LISTEN instead of to every address, so that several can run on one machine.
  void begin(uint16_t port) {
    socket_ = socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in here = {};
    here.sin_family = AF_INET;
    here.sin_port = htons(getenv("CAMERA_PORT") ? atoi(getenv("CAMERA_PORT")) : port);
    inet_pton(AF_INET, getenv("CAMERA_IP"), &here.sin_addr);
    if (bind(socket_, (sockaddr *)&here, sizeof here) != 0) {
      perror("bind");
      exit(4);
    }
  }
  int parsePacket() {
    char byte;
    return recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 ? 0 : 1;
  }
  int read(char *buffer, size_t size) { return recv(socket_, buffer, size, 0); }
  void beginPacket(const IPAddress &address, uint16_t port) {
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr = address.native();
    out.clear();
  }
  void write(const uint8_t *data, size_t length) { out.append((const char *)data, length); }
  void endPacket() { sendto(socket_, out.data(), out.size(), 0, (sockaddr *)&to, sizeof to); }
};
