// The same program with the ssl component's header and library.

#include <asyncio/openssl.hpp>

const auto context = asyncio::ssl::create_default_context();

#include "sum.cpp"
