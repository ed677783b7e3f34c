// The same program with the http component's header and library.

#include <asyncio/http.hpp>

#include "sum.cpp"
