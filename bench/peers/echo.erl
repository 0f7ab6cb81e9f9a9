%% Echo servers with gen_tcp's packet modes: erl ... -s echo -extra FRAMING PORT. One process for each connection.
-module(echo).
-export([start/0]).

options("raw") -> [{packet, raw}];
options("int32") -> [{packet, 4}];
%% A line that is longer than the buffer arrives, and goes back, in parts.
options("buffered") -> [{packet, line}].

start() ->
    [Framing, Port] = init:get_plain_arguments(),
    spawn(fun() -> listen(Framing, list_to_integer(Port)) end).

listen(Framing, Port) ->
    Options = [binary, {active, false}, {ip, {127, 0, 0, 1}}, {backlog, 1024}, {reuseaddr, true},
               {nodelay, true}, {buffer, 65536} | options(Framing)],
    {ok, Listener} = gen_tcp:listen(Port, Options),
    accept(Listener).

accept(Listener) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    Server = spawn(fun() -> receive go -> serve(Socket) end end),
    ok = gen_tcp:controlling_process(Socket, Server),
    Server ! go,
    accept(Listener).

%% A hundred messages at most wait in the mailbox of the process; then it asks for more.
serve(Socket) ->
    ok = inet:setopts(Socket, [{active, 100}]),
    loop(Socket).

loop(Socket) ->
    receive
        {tcp, Socket, Message} ->
            case gen_tcp:send(Socket, Message) of
                ok -> loop(Socket);
                {error, _} -> gen_tcp:close(Socket)
            end;
        {tcp_passive, Socket} ->
            serve(Socket);
        {tcp_closed, Socket} ->
            ok;
        {tcp_error, Socket, _} ->
            gen_tcp:close(Socket)
    end.
