-- The arena's pipelined profile: 16 times GET /pipeline in one write. wrk counts the requests in
-- the text itself, and waits for all 16 answers before it writes again.

local burst = string.rep("GET /pipeline HTTP/1.1\r\nHost: localhost:8080\r\n\r\n", 16)

function request()
    return burst
end

-- One line for bench/load/run: wrk's own report rounds the bytes.
function done(summary)
    local errors = summary.errors
    print(string.format("result requests=%d bytes=%d microseconds=%d",
        summary.requests, summary.bytes, summary.duration)
        .. string.format(" connect=%d read=%d write=%d status=%d timeout=%d",
        errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
