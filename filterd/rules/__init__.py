"""Rules: what is blocked for whom. Pure: time is an argument, the index is the only thing read.

verdict.py      what was decided, and why
index.py        compiled lists: codec and reader; listinfo.py says what is in a build
categories.py   the catalogue of categories: bits, severity, defaults per tier
rewrites.py     the catalogue of search engines: hosts, and where each level of safe search leads
services.py     the catalogue of services: sets of domains known by one name
fields.py       types of fields that several files share
yamlsource.py   YAML with positions, so that an error names file, line and column
layers.py       the files of a policy; merge.py makes one of them, with every lock held
choices.py      safe search and services through the layers
policy.py       layers (baseline, region, school, group) -> a plan for each group
planning.py     the steps of a plan, each held against the locks above it; plan.py makes views of them
timetable.py    what time it is in a school
schedule.py     which timed lines hold, and until when; timing.py how people write times
calendar.py     holidays, terms, exams from iCalendar files
overrides.py    what an adult opens or closes until a time
clients.py      address or MAC -> group
view.py         what holds for a group at an instant, immutable
decide.py       (name, type, view, index) -> verdict, by one ordered list of steps
effective.py    what holds for a group, each line with who decided it; changes.py what another policy changes
assertions.py   tests kept beside a policy
explain.py      the same steps told to a person, with what would change the outcome
"""
