"""The monthly report of a school, a district or a region, and the yearly review pack; aggregates only.

    read      the store's roll-ups -> Tally (one school's month; tallies add up, school by school)
    suppress  small figures, and what they could be computed from, are hidden
    document  Tally -> Document: what is said, in numbers, with all fourteen parts (school.md)
    outline   Document + language -> sections, tables, figures: the one place of texts for people
    render    outline -> HTML, PDF, XLSX, CSV; the document itself is the JSON
    shelf     every version that was made is kept; late data make a corrected one; a person signs
    yearly    kept months -> the review pack (R26)

The same figures stand in every format because all are written from one outline. Never holds a device, a
domain, a person but the one responsible, or a figure of so few devices that somebody could be meant.
"""
