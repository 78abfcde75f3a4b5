// coir::http: the engine as a library.
#include <coir/http/request.hpp>
#include <coir/http/response.hpp>
#include <coir/http/router.hpp>

int main() {
    coir::http::Router router;
    router.get("/hello",
               [](coir::http::Request&, coir::http::Response& response) { response.body("hi"); });
    return 0;
}
