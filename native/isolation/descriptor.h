// A file descriptor with its owner.
#ifndef ISOLATION_DESCRIPTOR_H_
#define ISOLATION_DESCRIPTOR_H_

#include <unistd.h>

namespace isolation {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ != -1) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return number_; }  // -1: none

 private:
  const int number_;
};

}  // namespace isolation

#endif  // ISOLATION_DESCRIPTOR_H_
