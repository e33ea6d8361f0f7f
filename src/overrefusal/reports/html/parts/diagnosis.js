// Why it declined: the cards of one word.

function startDiagnosis() {
  const choice = document.getElementById("why-word");
  if (!choice) return;
  const cards = [...document.querySelectorAll("#why-cards .why")];
  const count = document.getElementById("why-count");
  const filter = () => {
    let shown = 0;
    for (const card of cards) {
      card.hidden = choice.value !== "" && !card.dataset.words.split(" ").includes(choice.value);
      shown += !card.hidden;
    }
    count.textContent = `${shown} of ${cards.length}`;
  };
  choice.addEventListener("change", filter);
  document.getElementById("why-filter").hidden = false;
  filter();
}
