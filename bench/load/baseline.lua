-- The arena's baseline mix: GET, POST with Content-Length, POST chunked, in turn.
-- The turn is per wrk thread: wrk asks for a request whenever one of the thread's connections is
-- free, so every connection sees all three shapes. The bytes are the arena's own, hence no
-- wrk.format(), which would add to them.

local get = "GET /baseline11?a=13&b=42 HTTP/1.1\r\nHost: localhost:8080\r\n\r\n"

local post_sized = "POST /baseline11?a=13&b=42 HTTP/1.1\r\nHost: localhost:8080\r\n"
    .. "Content-Length: 2\r\n\r\n20"

local post_chunked = "POST /baseline11?a=13&b=42 HTTP/1.1\r\nHost: localhost:8080\r\n"
    .. "Transfer-Encoding: chunked\r\n\r\n2\r\n20\r\n0\r\n\r\n"

local requests = { get, post_sized, post_chunked }
local turn = 0

function request()
    turn = turn % 3 + 1
    return requests[turn]
end

-- One line for bench/load/run: wrk's own report rounds the bytes.
function done(summary)
    local errors = summary.errors
    print(string.format("result requests=%d bytes=%d microseconds=%d",
        summary.requests, summary.bytes, summary.duration)
        .. string.format(" connect=%d read=%d write=%d status=%d timeout=%d",
        errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
