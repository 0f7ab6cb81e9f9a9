// Echo servers with bufio: echo FRAMING PORT [PEM]. One goroutine for each connection; answers leave before it waits for more.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"os"
	"strconv"
)

const (
	bufferSize = 64 * 1024
	limit      = 64 * 1024 * 1024
)

// flushing is the connection as bufio reads from it: it first writes what has been answered so far.
type flushing struct {
	net.Conn
	out *bufio.Writer
}

func (c flushing) Read(p []byte) (int, error) {
	if err := c.out.Flush(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// message reads that many bytes into buf, or into a larger one if necessary, and returns them.
func message(in *bufio.Reader, buf []byte, size int) ([]byte, error) {
	if size > limit {
		return buf, errors.New("message too long")
	}
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	_, err := io.ReadFull(in, buf)
	return buf, err
}

func raw(in *bufio.Reader, out *bufio.Writer) error {
	buf := make([]byte, bufferSize)
	for {
		n, err := in.Read(buf)
		if err != nil {
			return err
		}
		out.Write(buf[:n])
	}
}

func int8(in *bufio.Reader, out *bufio.Writer) error {
	var buf []byte
	for {
		size, err := in.ReadByte()
		if err != nil {
			return err
		}
		if buf, err = message(in, buf, int(size)); err != nil {
			return err
		}
		out.WriteByte(size)
		out.Write(buf)
	}
}

func int16(in *bufio.Reader, out *bufio.Writer) error {
	var header [2]byte
	var buf []byte
	for {
		_, err := io.ReadFull(in, header[:])
		if err != nil {
			return err
		}
		if buf, err = message(in, buf, int(binary.BigEndian.Uint16(header[:]))); err != nil {
			return err
		}
		out.Write(header[:])
		out.Write(buf)
	}
}

func int32(in *bufio.Reader, out *bufio.Writer) error {
	var header [4]byte
	var buf []byte
	for {
		_, err := io.ReadFull(in, header[:])
		if err != nil {
			return err
		}
		if buf, err = message(in, buf, int(binary.BigEndian.Uint32(header[:]))); err != nil {
			return err
		}
		out.Write(header[:])
		out.Write(buf)
	}
}

func varint(in *bufio.Reader, out *bufio.Writer) error {
	var header [binary.MaxVarintLen64]byte
	var buf []byte
	for {
		size, err := binary.ReadUvarint(in)
		if err != nil {
			return err
		}
		if size > limit {
			return errors.New("message too long")
		}
		if buf, err = message(in, buf, int(size)); err != nil {
			return err
		}
		out.Write(header[:binary.PutUvarint(header[:], size)])
		out.Write(buf)
	}
}

func fixed(size int) func(*bufio.Reader, *bufio.Writer) error {
	return func(in *bufio.Reader, out *bufio.Writer) error {
		var buf []byte
		var err error
		for {
			if buf, err = message(in, buf, size); err != nil {
				return err
			}
			out.Write(buf)
		}
	}
}

func netstring(in *bufio.Reader, out *bufio.Writer) error {
	var buf []byte
	for {
		header, err := in.ReadSlice(':')
		if err != nil {
			return err
		}
		size, err := strconv.Atoi(string(header[:len(header)-1]))
		if err != nil {
			return err
		}
		if buf, err = message(in, buf, size); err != nil {
			return err
		}
		comma, err := in.ReadByte()
		if err != nil || comma != ',' {
			return errors.New("no comma")
		}
		out.WriteString(strconv.Itoa(size))
		out.WriteByte(':')
		out.Write(buf)
		out.WriteByte(',')
	}
}

func envelope(in *bufio.Reader, out *bufio.Writer) error {
	for {
		start, err := in.ReadByte()
		if err != nil || start != 2 {
			return errors.New("no start")
		}
		message, err := in.ReadSlice(3)
		if err != nil {
			return err
		}
		out.WriteByte(2)
		out.Write(message[:len(message)-1])
		out.WriteByte(3)
	}
}

func windev(in *bufio.Reader, out *bufio.Writer) error {
	var buf []byte
	for {
		header, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.Atoi(string(bytes.TrimSuffix(header, []byte("\r\n"))))
		if err != nil {
			return err
		}
		if buf, err = message(in, buf, size); err != nil {
			return err
		}
		out.WriteString(strconv.Itoa(size))
		out.WriteString("\r\n")
		out.Write(buf)
	}
}

// delimited returns the server for messages that end with delimiter.
func delimited(delimiter string) func(*bufio.Reader, *bufio.Writer) error {
	mark := []byte(delimiter)
	split := func(data []byte, atEOF bool) (int, []byte, error) {
		if at := bytes.Index(data, mark); at >= 0 {
			return at + len(mark), data[:at], nil
		}
		return 0, nil, nil
	}
	return func(in *bufio.Reader, out *bufio.Writer) error {
		scanner := bufio.NewScanner(in)
		scanner.Buffer(make([]byte, bufferSize), limit)
		scanner.Split(split)
		for scanner.Scan() {
			out.Write(scanner.Bytes())
			out.Write(mark)
		}
		return scanner.Err()
	}
}

func main() {
	servers := map[string]func(*bufio.Reader, *bufio.Writer) error{
		"raw":                raw,
		"int8":               int8,
		"int16":              int16,
		"int32":              int32,
		"windev":             windev,
		"netstring":          netstring,
		"varint":             varint,
		"fixed:32":           fixed(32),
		"standard":           delimited("<EOF>"),
		"buffered":           delimited("\r\n"),
		`buffered:\n`:        delimited("\n"),
		`envelope:\x02:\x03`: envelope,
	}
	serve := servers[os.Args[1]]
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	if len(os.Args) > 3 {
		certificate, err := tls.LoadX509KeyPair(os.Args[3], os.Args[3])
		if err != nil {
			log.Fatal(err)
		}
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}})
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer connection.Close()
			out := bufio.NewWriterSize(connection, bufferSize)
			in := bufio.NewReaderSize(flushing{connection, out}, bufferSize)
			serve(in, out)
		}()
	}
}
