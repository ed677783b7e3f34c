// The second idea of the README: create all tasks, then wait for all of them. Results keep the
// order of the URLs; a failure is one of the results and stops nothing.
//
//     process_urls https://example.org/ https://example.com/
#include <asyncio/asyncio.hpp>
#include <asyncio/http.hpp>

#include <cstdio>
#include <string>
#include <vector>

using asyncio::Coro;
using asyncio::Outcome;
using asyncio::http::Response;

Coro<std::vector<Outcome<Response>>> process_urls(const std::vector<std::string>& urls) {
    std::vector<asyncio::Task<Response>> tasks;
    for (const std::string& url : urls) {
        tasks.push_back(asyncio::create_task(asyncio::http::fetch(url)));
    }
    co_return co_await asyncio::gather(asyncio::return_exceptions, tasks);
}

Coro<void> main_task(std::vector<std::string> urls) {
    const std::vector<Outcome<Response>> results = co_await process_urls(urls);
    for (std::size_t i = 0; i < urls.size(); ++i) {
        if (results[i]) {
            std::printf("%s: %d, %zu bytes\n", urls[i].c_str(), results[i].value().status,
                        results[i].value().body.size());
        } else {
            std::printf("%s: %s\n", urls[i].c_str(),
                        asyncio::describe_exception(results[i].exception()).c_str());
        }
    }
}

int main(int count, char** values) {
    asyncio::run(main_task, std::vector<std::string>(values + 1, values + count));
}
