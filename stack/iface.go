package stack

type topology struct{}

type iface struct{}
