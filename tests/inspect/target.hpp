// The program that the tests of the reader look at, in several kinds of executables.
#pragma once

// Arranges the scene `argv[1]`, prints "ready" and stays there until it is killed.
extern "C" __attribute__((visibility("default"))) int run_target(int argc, char** argv);
