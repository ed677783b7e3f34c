// expect: argument 1 of the function [^:]*: it holds a struct with a base class; give that struct
// expect: argument 2 of the function [^:]*: it holds a struct with a C array, .*; use std::array
// expect: argument 3 of the function [^:]*: it holds a struct with a base class; give that struct
// expect: argument 4 of the function [^:]*: .* without a default constructor, .*; give it one

#include <asyncio/process_pool.hpp>

struct Point {
    int x;
    int y;
};
struct Dot : Point {
    int size;
};
struct Path {
    std::string name;
    Point points[2];
};
// Its base class's function would leave out the name.
class Base {
    template <class Archive>
    friend void serialize(Archive& archive, Base& base) {
        archive(base.number_);
    }
    int number_ = 0;
};
class Named : public Base {
    std::string name_;
};
struct Id {
    explicit Id(int number);
    int number;
    template <class Archive>
    friend void serialize(Archive& archive, Id& id) {
        archive(id.number);
    }
};
void show(const Dot& dot, const Path& path, const Named& named, Id id);

void call(asyncio::ProcessPoolExecutor& pool) {
    pool.submit(asyncio::function<&show>, Dot(), Path(), Named(), Id(1));
}
