#include "coir/http/router.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "coir/http/body_reader.hpp"
#include "coir/http/response.hpp"

namespace coir::http {
namespace {

Handler says(std::string text) {
    return [text = std::move(text)](Request& request, Response& response) {
        std::string body = text;
        for (std::size_t i = 0; i < request.parameters().names.size(); ++i) {
            body += " " + request.parameters().names[i] + "=" +
                    std::string(request.parameters().values[i]);
        }
        response.body(std::move(body));
    };
}

/// What the route's handler says, or "404", or "405" and the methods that are allowed.
std::string ask(const Router& router, Method method, std::string_view path) {
    RequestHead head;
    BodyReader body;
    Request request(head, body);
    const Router::Match match = router.find(method, path, request.parameters());
    if (match.endpoint == nullptr) {
        std::string answer = match.allowed.empty() ? "404" : "405";
        for (std::size_t i = 0; i < kMethodCount; ++i) {
            if (match.allowed.contains(static_cast<Method>(i))) {
                answer.append(" ").append(as_text(static_cast<Method>(i)));
            }
        }
        return answer;
    }
    Response response;
    match.endpoint->handler(request, response);
    return std::string(response.body());
}

TEST(Router, FindsExactPaths) {
    Router router;
    router.get("/", says("root")).get("/pipeline", says("ok")).post("/pipeline", says("posted"));
    EXPECT_EQ(ask(router, Method::get, "/"), "root");
    EXPECT_EQ(ask(router, Method::get, "/pipeline"), "ok");
    EXPECT_EQ(ask(router, Method::post, "/pipeline"), "posted");
    EXPECT_EQ(ask(router, Method::get, "/pipelin"), "404");
    EXPECT_EQ(ask(router, Method::get, "/pipeline/"), "404");
    EXPECT_EQ(ask(router, Method::get, ""), "404");
    EXPECT_EQ(ask(router, Method::options, "*"), "404");
}

TEST(Router, FindsEachOfManyPaths) {
    Router router;
    for (int i = 0; i < 1000; ++i) {
        const std::string path = "/api/v1/resource/" + std::to_string(i) + "/with-a-common-end";
        router.get(path, says(path));
        router.get("/" + std::to_string(i), says(std::to_string(i)));
    }
    for (int i = 0; i < 1000; ++i) {
        const std::string path = "/api/v1/resource/" + std::to_string(i) + "/with-a-common-end";
        EXPECT_EQ(ask(router, Method::get, path), path);
        EXPECT_EQ(ask(router, Method::get, "/" + std::to_string(i)), std::to_string(i));
    }
    EXPECT_EQ(ask(router, Method::get, "/api/v1/resource/1000/with-a-common-end"), "404");
}

TEST(Router, AnEmptyRouterFindsNothing) {
    EXPECT_EQ(ask(Router(), Method::get, "/"), "404");
}

TEST(Router, NamesTheAllowedMethodsOfAPath) {
    Router router;
    router.post("/a", says("")).del("/a", says("")).get("/b", says(""));
    EXPECT_EQ(ask(router, Method::get, "/a"), "405 POST DELETE");
    EXPECT_EQ(ask(router, Method::put, "/b"), "405 GET HEAD");
}

TEST(Router, GetAnswersHeadUnlessHeadHasItsOwn) {
    Router router;
    router.get("/a", says("get")).get("/b", says("get")).head("/b", says("head"));
    router.head("/c", says("head")).get("/c", says("get"));
    EXPECT_EQ(ask(router, Method::head, "/a"), "get");
    EXPECT_EQ(ask(router, Method::head, "/b"), "head");
    EXPECT_EQ(ask(router, Method::head, "/c"), "head");
    EXPECT_EQ(ask(router, Method::get, "/c"), "get");
}

TEST(Router, AParameterIsOneWholeSegment) {
    Router router;
    router.get("/users/{id}", says("user"));
    router.get("/users/{id}/posts/{post}", says("post"));
    EXPECT_EQ(ask(router, Method::get, "/users/7"), "user id=7");
    EXPECT_EQ(ask(router, Method::head, "/users/a%2Fb"), "user id=a%2Fb");
    EXPECT_EQ(ask(router, Method::get, "/users/7/posts/x-y"), "post id=7 post=x-y");
    EXPECT_EQ(ask(router, Method::get, "/users/"), "404");
    EXPECT_EQ(ask(router, Method::get, "/users"), "404");
    EXPECT_EQ(ask(router, Method::get, "/users/7/"), "404");
    EXPECT_EQ(ask(router, Method::get, "/users/7/posts"), "404");
    EXPECT_EQ(ask(router, Method::get, "/users//posts/1"), "404");
    EXPECT_EQ(ask(router, Method::post, "/users/7"), "405 GET HEAD");
}

TEST(Router, ALiteralSegmentBeatsAParameter) {
    Router router;
    router.get("/a/{x}", says("x")).get("/a/b", says("b")).get("/{y}/c", says("y"));
    router.get("/a/{x}/d", says("d")).get("/{y}/{z}/e", says("e"));
    EXPECT_EQ(ask(router, Method::get, "/a/b"), "b");
    EXPECT_EQ(ask(router, Method::get, "/a/q"), "x x=q");
    EXPECT_EQ(ask(router, Method::get, "/a/c"), "x x=c");
    EXPECT_EQ(ask(router, Method::get, "/q/c"), "y y=q");
    EXPECT_EQ(ask(router, Method::get, "/a/b/d"), "d x=b");
    // The literal "a" leads nowhere here, so the parameter gets its turn.
    EXPECT_EQ(ask(router, Method::get, "/a/b/e"), "e y=a z=b");
}

TEST(Router, AMethodMayBeFoundAtALessSpecificPattern) {
    Router router;
    router.get("/a/b", says("exact")).post("/a/{x}", says("any"));
    EXPECT_EQ(ask(router, Method::get, "/a/b"), "exact");
    EXPECT_EQ(ask(router, Method::post, "/a/b"), "any x=b");
    EXPECT_EQ(ask(router, Method::put, "/a/b"), "405 GET HEAD POST");
}

TEST(Router, AParameterCanBeTheFirstSegmentOrTheOnlyOne) {
    Router router;
    router.get("/{a}", says("one")).get("/{a}/{b}", says("two"));
    EXPECT_EQ(ask(router, Method::get, "/x"), "one a=x");
    EXPECT_EQ(ask(router, Method::get, "/x/y"), "two a=x b=y");
    EXPECT_EQ(ask(router, Method::get, "/"), "404");
}

TEST(Router, KnowsAllMethodsTogether) {
    Router router;
    router.get("/a", says("")).patch("/b/{c}", says(""));
    EXPECT_TRUE(router.all_methods().contains(Method::head));
    EXPECT_TRUE(router.all_methods().contains(Method::patch));
    EXPECT_FALSE(router.all_methods().contains(Method::post));
}

TEST(Router, KeepsItsRoutesWhenMoved) {
    Router router;
    router.get("/a", says("a")).get("/{b}/c", says("b"));
    const Router moved = std::move(router);
    EXPECT_EQ(ask(moved, Method::get, "/a"), "a");
    EXPECT_EQ(ask(moved, Method::get, "/x/c"), "b b=x");
}

TEST(Router, RefusesMalformedPatterns) {
    for (const char* pattern :
         {"", "a", "/a b", "/a?b", "/a#b", "/{}", "/{a", "/a}", "/x{a}", "/{a}x", "/{a}{b}",
          "/{{a}}", "/{a}/{a}", "/\n", "/{1}/{2}/{3}/{4}/{5}/{6}/{7}/{8}/{9}"}) {
        Router router;
        EXPECT_THROW(router.get(pattern, says("")), std::invalid_argument) << pattern;
    }
}

TEST(Router, RefusesTheSameMethodAndPathTwice) {
    Router router;
    router.get("/a", says("")).get("/{b}", says("")).post("/a", says(""));
    EXPECT_THROW(router.get("/a", says("")), std::invalid_argument);
    EXPECT_THROW(router.get("/{b}", says("")), std::invalid_argument);
    EXPECT_THROW(router.post("/{other_name}", says("")), std::invalid_argument);
    EXPECT_THROW(router.put("/c", Handler()), std::invalid_argument);
}

}  // namespace
}  // namespace coir::http
