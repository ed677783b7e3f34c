// The library is part of the program.
#include "target.hpp"

int main(int argc, char** argv) { return run_target(argc, argv); }
