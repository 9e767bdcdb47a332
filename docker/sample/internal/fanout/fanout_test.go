package fanout

import "testing"

func TestSlowSubscriberMissesOnlyItsOwn(t *testing.T) {
	var hub Hub[int]
	fast, cancelFast := hub.Subscribe(2)
	defer cancelFast()
	_, cancelSlow := hub.Subscribe(1)
	defer cancelSlow()

	if delivered, dropped := hub.Publish(1); delivered != 2 || dropped != 0 {
		t.Fatalf("first: delivered %d, dropped %d", delivered, dropped)
	}
	if delivered, dropped := hub.Publish(2); delivered != 1 || dropped != 1 {
		t.Fatalf("second: delivered %d, dropped %d", delivered, dropped)
	}
	if a, b := <-fast, <-fast; a != 1 || b != 2 {
		t.Fatalf("fast subscriber got %d, %d", a, b)
	}
}

func TestCloseEndsSubscriptions(t *testing.T) {
	var hub Hub[int]
	before, cancel := hub.Subscribe(1)
	hub.Close()
	cancel() // must be harmless after Close
	after, _ := hub.Subscribe(1)
	for _, ch := range []<-chan int{before, after} {
		if _, open := <-ch; open {
			t.Fatal("subscription outlived the hub")
		}
	}
	if n := hub.Len(); n != 0 {
		t.Fatalf("Len = %d after Close", n)
	}
}
