"""The folder of a run of the claims: every observation is kept, once, and belongs to the data it was made on."""

from dataclasses import replace
from pathlib import Path

import pytest

from placenorm.article.store import OBSERVATIONS, open_store, read_store
from placenorm.errors import StoreError
from placenorm.facts.claim import CLAIMS_FILE, ClaimSettings, ClaimsReport, Observation, Question
from placenorm.facts.comparison import DataFacts
from placenorm.facts.environment import Environment

EMPTY = ClaimsReport(
    settings=ClaimSettings("digits", full=False, seeds=2, claims=("A4",)),
    data=DataFacts("digits", 1078, 359, 360, (1, 8, 8), 10, fixed_test=False, fingerprint="f"),
    environment=Environment("0.1.0", "2.14.1", "3.11", "Linux", 2, "cpu", "2026-01-01", "placenorm claims"),
    results=(),
    seconds=0.0,
)


def observe(seed: int, value: float = 0.5) -> Observation:
    return Observation(Question("training", {"depth": 4, "lr": 0.1}, seed), {"area": value}, {"step": (1.0, None)})


def test_observations_come_back_as_they_were(tmp_path: Path) -> None:
    with open_store(tmp_path, EMPTY, resume=False) as store:
        store.add(observe(0))
        store.add(observe(1))
    assert read_store(tmp_path).observations == {o.question.key: o for o in (observe(0), observe(1))}


def test_a_line_that_was_half_written_is_dropped_and_the_rest_goes_on(tmp_path: Path) -> None:
    with open_store(tmp_path, EMPTY, resume=False) as store:
        store.add(observe(0))
    path = tmp_path / OBSERVATIONS
    path.write_text(path.read_text() + '{"format": 1, "fact": {"quest')
    with open_store(tmp_path, EMPTY, resume=True) as store:
        store.add(observe(1))
    assert len(read_store(tmp_path).observations) == 2


@pytest.mark.parametrize("half", ['{"format": 1, "fact": {"quest', "é"], ids=["line", "letter"])
def test_a_line_that_is_half_written_is_passed_over_by_a_reader_and_left_to_its_writer(
    tmp_path: Path, half: str
) -> None:
    with open_store(tmp_path, EMPTY, resume=False) as store:
        store.add(observe(0))
        path = tmp_path / OBSERVATIONS
        content = path.read_bytes() + half.encode()[: -1 if half == "é" else None]
        path.write_bytes(content)
        assert list(read_store(tmp_path).observations) == [observe(0).question.key]
        assert path.read_bytes() == content


@pytest.mark.parametrize("resume", [False, True], ids=["afresh", "resumed"])
def test_observations_without_their_head_are_refused_and_kept(tmp_path: Path, resume: bool) -> None:
    with open_store(tmp_path, EMPTY, resume=False) as store:
        store.add(observe(0))
    (tmp_path / CLAIMS_FILE).unlink()
    before = (tmp_path / OBSERVATIONS).read_bytes()
    with pytest.raises(
        StoreError, match=r"has observations\.jsonl but no claims\.json.*; restore that file, or choose"
    ):
        open_store(tmp_path, EMPTY, resume=resume)
    assert (tmp_path / OBSERVATIONS).read_bytes() == before
    assert not (tmp_path / CLAIMS_FILE).exists()


@pytest.mark.parametrize("resume", [False, True], ids=["read", "resumed"])
def test_observations_that_are_not_utf8_are_one_sentence(tmp_path: Path, resume: bool) -> None:
    with open_store(tmp_path, EMPTY, resume=False) as store:
        store.add(observe(0))
    path = tmp_path / OBSERVATIONS
    path.write_bytes(path.read_bytes() + b'{"\xff": 1}\n')
    words = r"Cannot read line 2 of .*observations\.jsonl: it is not UTF-8 \(invalid start byte at byte 2\); restore"
    with pytest.raises(StoreError, match=words):
        open_store(tmp_path, EMPTY, resume=True) if resume else read_store(tmp_path)


def test_observations_that_cannot_be_read_are_one_sentence(tmp_path: Path) -> None:
    open_store(tmp_path, EMPTY, resume=False).close()
    (tmp_path / OBSERVATIONS).mkdir()
    with pytest.raises(StoreError, match=r"Cannot read .*observations\.jsonl: Is a directory; mend the folder"):
        read_store(tmp_path)


def test_a_folder_in_use_is_refused_in_words_that_fit_every_verb(tmp_path: Path) -> None:
    with open_store(tmp_path, EMPTY, resume=False), pytest.raises(StoreError, match="Another run of placenorm is"):
        open_store(tmp_path, EMPTY, resume=True)


def test_a_folder_is_continued_only_where_it_is_asked_for(tmp_path: Path) -> None:
    open_store(tmp_path, EMPTY, resume=False).close()
    with pytest.raises(StoreError, match=r"holds claims already; go on with --resume, or choose another --out"):
        open_store(tmp_path, EMPTY, resume=False)


def test_other_claims_may_be_asked_of_the_same_data(tmp_path: Path) -> None:
    open_store(tmp_path, EMPTY, resume=False).close()
    more = replace(EMPTY, settings=replace(EMPTY.settings, claims=("A4", "A8"), seeds=5))
    open_store(tmp_path, more, resume=True).close()
    assert read_store(tmp_path).head.settings == more.settings


def test_other_data_are_refused_and_leave_the_folder_alone(tmp_path: Path) -> None:
    open_store(tmp_path, EMPTY, resume=False).close()
    before = (tmp_path / CLAIMS_FILE).read_bytes()
    other = replace(EMPTY, data=replace(EMPTY.data, name="mine", train=10, fingerprint="g"))
    with pytest.raises(
        StoreError, match=r"put to digits \(1078 training samples\).* mine \(10\); choose another --out"
    ):
        open_store(tmp_path, other, resume=True)
    assert (tmp_path / CLAIMS_FILE).read_bytes() == before
    open_store(tmp_path, EMPTY, resume=True).close()  # the lock was given back


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("device", "H100", "ran on cpu, these are to run on H100, and times would mix machines; choose another --out"),
        ("placenorm", "0.2.0", r"under placenorm 0\.1\.0, and those of 0\.2\.0 may differ; choose another --out"),
    ],
    ids=["device", "version"],
)
def test_another_device_or_version_is_refused_and_leaves_the_folder_alone(
    tmp_path: Path, field: str, value: str, words: str
) -> None:
    open_store(tmp_path, EMPTY, resume=False).close()
    before = (tmp_path / CLAIMS_FILE).read_bytes()
    other = replace(EMPTY, environment=replace(EMPTY.environment, **{field: value}))  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=words):
        open_store(tmp_path, other, resume=True)
    assert (tmp_path / CLAIMS_FILE).read_bytes() == before


def test_an_older_version_may_still_be_read(tmp_path: Path) -> None:
    older = replace(EMPTY, environment=replace(EMPTY.environment, placenorm="0.0.9"))
    open_store(tmp_path, older, resume=False).close()
    assert read_store(tmp_path).head == older


def test_another_torch_is_kept_beside_the_first_and_the_first_day_stays(tmp_path: Path) -> None:
    open_store(tmp_path, EMPTY, resume=False).close()
    later = replace(EMPTY, environment=replace(EMPTY.environment, torch="2.15.0", date="2026-02-01"))
    for _ in range(2):
        open_store(tmp_path, later, resume=True).close()
    assert read_store(tmp_path).head.environment == replace(EMPTY.environment, torch="2.14.1, then 2.15.0")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "name a folder that `placenorm claims` wrote"),
        ('{"format": 0, "fact": {}}', "it is in format 0, this placenorm reads format 1; .*repeat the run"),
        ("no json", "it is not JSON"),
        ('{"format": 1, "fact": {"settings": 3}}', "it is damaged or not a ClaimsReport .*repeat the run"),
    ],
    ids=["nothing-there", "older-format", "no-json", "damaged"],
)
def test_a_folder_that_cannot_be_read_is_one_sentence(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / CLAIMS_FILE).write_text(text)
    with pytest.raises(StoreError, match=words):
        read_store(tmp_path)


def test_a_question_has_a_name_of_its_own() -> None:
    questions = [observe(0).question, observe(1).question, Question("training", {"depth": 8, "lr": 0.1}, 0)]
    assert len({question.key for question in questions}) == len(questions)
