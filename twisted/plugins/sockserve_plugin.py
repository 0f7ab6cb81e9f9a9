from twisted.application.service import ServiceMaker

sockserve = ServiceMaker(
    "sockserve",
    "sockserve.service.options",
    "Serve messages over stream sockets, in any framing.",
    "sockserve",
)
