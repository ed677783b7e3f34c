// expect: argument 1 of the function [^:]*: it holds a pointer or a reference, which leads nowhere
// expect: argument 2 of the function [^:]*: it holds a view, .*; hold a std::string or a container
// expect: argument 3 of the function [^:]*: .* virtual functions, .*; hold a std::variant
// expect: argument 4 of the function [^:]*: .* hash function has a state, .* without members

#include <asyncio/process_pool.hpp>

#include <set>

struct Node {
    std::vector<Node> children;
    const Node* parent;
};
struct Name {
    std::string_view text;
};
struct Shape {
    virtual ~Shape();
};
using Order = bool (*)(int, int);
void show(Node node, const std::vector<Name>& names, std::unique_ptr<Shape> shape,
          std::set<int, Order> numbers);

void call(asyncio::ProcessPoolExecutor& pool) {
    pool.submit(asyncio::function<&show>, Node(), std::vector<Name>(), nullptr,
                std::set<int, Order>());
}
