// expect: argument 1 of the function [^:]*: it holds a class with private members
// expect: give it a function serialize\(archive, value\), see asyncio::Writer

#include <asyncio/process_pool.hpp>

class Secret {
public:
    Secret();

private:
    int number_;
};
void show(Secret secret);

void call(asyncio::ProcessPoolExecutor& pool) { pool.submit(asyncio::function<&show>, Secret()); }
