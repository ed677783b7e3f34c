// expect: argument 1 of the function cannot be sent to another process: .* serialize\(archive,
// value\)

#include <asyncio/process_pool.hpp>

class Secret {
public:
    Secret();

private:
    int number_;
};
void show(Secret secret);

void call(asyncio::ProcessPoolExecutor& pool) { pool.submit(asyncio::function<&show>, Secret()); }
