"use strict";

const state = document.getElementById("state");
const members = document.getElementById("members");

function row(kind, member) {
  const holds = kind === "node"
    ? `${(member.objects ?? []).length} objects`
    : `${member.clients ?? 0} clients`;
  const tr = document.createElement("tr");
  for (const text of [kind, member.id, member.address, member.version, member.ready ? "yes" : "no", holds]) {
    tr.insertCell().textContent = text;
  }
  return tr;
}

function show(graph) {
  members.replaceChildren(
    ...graph.nodes.map((m) => row("node", m)),
    ...graph.gates.map((m) => row("gate", m)),
  );
  state.textContent = `revision ${graph.revision}: ${graph.nodes.length} nodes, ${graph.gates.length} gates`;
}

const events = new EventSource("events/stream");
events.addEventListener("graph", (event) => show(JSON.parse(event.data)));
events.onerror = () => { state.textContent = "connection lost, trying again…"; };

// Reports of objects and clients come without an event.
setInterval(async () => {
  const response = await fetch("graph");
  if (response.ok) show(await response.json());
}, 5000);
