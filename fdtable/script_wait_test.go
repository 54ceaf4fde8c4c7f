package fdtable_test

import (
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
)

// begin makes the call of a line on a goroutine of its own, since it may block. If an argument cannot be read, wrong gets
// a message about it before the result comes.
func (r *runner) begin(st *statement) (p *pendingCall, wrong chan badArgument) {
	p = &pendingCall{name: st.args[0] + "(" + strings.Join(st.args[1:min(2, len(st.args))], ""),
		result: make(chan string, 1)}
	wrong = make(chan badArgument, 1)
	go func() {
		defer func() {
			switch e := recover().(type) {
			case nil:
			case badArgument:
				wrong <- e
				p.result <- ""
			default:
				panic(e)
			}
		}()
		p.result <- calls[st.args[0]](r, st.args[1:], st.result)
	}()
	return p, wrong
}

// call makes the call of a line, and compares its result unless the line says that it blocks.
func (r *runner) call(st *statement) error {
	p, wrong := r.begin(st)
	synctest.Wait()
	select {
	case e := <-wrong:
		return fmt.Errorf("%s", e)
	default:
	}
	select {
	case got := <-p.result:
		if st.blocks {
			return r.differ(r.stamp(r.now(), st.text), r.stamp(r.now(), result(st.text, got)))
		}
		return r.returned(st, got)
	default:
	}
	r.pending = append(r.pending, p)
	if !st.blocks {
		return r.differ(r.stamp(r.now(), st.text), r.stamp(r.now(), p.name+") waits"))
	}
	return nil
}

// complete compares the result of a call that was waiting.
func (r *runner) complete(st *statement) error {
	name := st.args[0] + "(" + strings.Join(st.args[1:min(2, len(st.args))], "")
	i := slices.IndexFunc(r.pending, func(p *pendingCall) bool { return p.name == name })
	if i < 0 {
		return fmt.Errorf("no %s) waits", name)
	}
	select {
	case got := <-r.pending[i].result:
		r.pending = slices.Delete(r.pending, i, i+1)
		return r.returned(st, got)
	default:
		return r.differ(r.stamp(r.now(), st.text), r.stamp(r.now(), name+") waits"))
	}
}

func (r *runner) returned(st *statement, got string) error {
	if got != st.result {
		return r.differ(r.stamp(r.now(), st.text), r.stamp(r.now(), result(st.text, got)))
	}
	return nil
}

// result returns the text of a call with another result.
func result(text, got string) string {
	if i := strings.LastIndex(text, ")"); i >= 0 {
		text = text[:i+1]
	}
	return text + " = " + got
}
