// A program that runs beside the test.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

// The folder of the test's own executable; the programs it starts are there, too.
std::string program_path(const std::string& name);

// Invariant: the process exists, if only as a zombie, until `kill` or the end of this object.
class Child {
public:
    // Starts a program and waits until it has printed a line.
    explicit Child(const std::vector<std::string>& command);
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child();

    pid_t pid() const noexcept { return pid_; }
    const std::string& first_line() const noexcept { return first_line_; }

    // Waits until the program sleeps in the kernel.
    void wait_until_asleep() const;
    // Stops it as a debugger would.
    void stop() const;
    void kill_without_waiting() const;
    // Ends the process and forgets it.
    void kill();

private:
    pid_t pid_ = -1;
    std::string first_line_;
};
