// The sketch, and the loop that the Arduino core runs around it.
#include "Arduino.h"
#include SKETCH
int main() {
  setup();
  for (;;) loop();
}
