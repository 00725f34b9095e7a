"""Words for made-up practices: people, places and the vocabulary of a schedule. Nobody and nothing here is real."""

from __future__ import annotations

GIVEN = (
    "Ada", "Amir", "Ana", "Bea", "Ben", "Cora", "Dana", "Dev", "Ella", "Emil", "Faye", "Finn", "Gia", "Hugo", "Ida",
    "Ivan", "Jade", "Joel", "Kara", "Kofi", "Lena", "Liam", "Mara", "Milo", "Nina", "Noor", "Omar", "Opal", "Priya",
    "Quin", "Rosa", "Ravi", "Sara", "Seth", "Tara", "Theo", "Uma", "Vera", "Wade", "Yuki",
)  # fmt: skip
FAMILY = (
    "Abbot", "Adler", "Banks", "Birch", "Cole", "Costa", "Dahl", "Drake", "Ellis", "Estes", "Faber", "Frost", "Gates",
    "Greer", "Hale", "Hogan", "Irwin", "Ives", "Jonas", "Joyce", "Keene", "Kim", "Lamb", "Lopez", "Marsh", "Moss",
    "Nash", "Novak", "Okafor", "Owens", "Pratt", "Pruitt", "Quill", "Quist", "Reyes", "Rossi", "Shaw", "Stone",
    "Tran", "Tully", "Ueda", "Unger", "Vance", "Voss", "Walsh", "Webb", "Xu", "Yates", "Young", "Zhou",
)  # fmt: skip
MIDDLE = ("", "", "", "J", "R", "Lee", "")
# (city, state, postal code, IANA zone)
CITIES = (
    ("Sarasota", "FL", "34236", "America/New_York"),
    ("Albany", "NY", "12207", "America/New_York"),
    ("Peoria", "IL", "61602", "America/Chicago"),
    ("Austin", "TX", "78701", "America/Chicago"),
    ("Boulder", "CO", "80302", "America/Denver"),
    ("Tucson", "AZ", "85701", "America/Phoenix"),
    ("Fresno", "CA", "93721", "America/Los_Angeles"),
)
# Area codes in service; each holds the hundred fictitious numbers 555-0100 to 555-0199.
AREAS = (
    "201", "202", "203", "205", "206", "207", "208", "209", "210", "212", "213", "214", "215", "216", "217", "218",
    "219", "224", "225", "228", "229", "231", "234", "239", "240", "248", "251", "252", "253", "254", "256", "260",
    "262", "267", "269", "270", "276", "281", "301", "302", "303", "304", "305", "307", "308", "309", "310", "312",
    "313", "314", "315", "316", "317", "318", "319", "320", "321", "323", "325", "330", "331", "334", "336", "337",
    "339", "347", "351", "352", "360", "361", "386", "401", "402", "404", "405", "406", "407", "408", "409", "410",
    "412", "413", "414", "415", "417", "419", "423", "425", "430", "432", "434", "435", "440", "443", "469", "478",
    "479", "480", "484", "501", "502", "503", "504", "505", "507", "508", "509", "510", "512", "513", "515", "516",
    "517", "518", "520", "530", "540", "541", "551", "559", "561", "562", "563", "567", "570", "571", "573", "574",
    "575", "580", "585", "586", "601", "602", "603", "605", "606", "607", "608", "609", "610", "612", "614", "615",
    "616", "617", "618", "619", "620", "623", "626", "630", "631", "636", "641", "646", "650", "651", "660", "661",
)  # fmt: skip
PLACES = ("Dermatology", "Oncology", "Downtown", "Harbor Point", "Midtown", "Northside", "Lakeside", "Uptown")
TYPES = ("Follow Up", "New Patient", "Procedure", "Surgery", "Consult")
PURPOSES = ("Skin Check", "Suture Removal", "Biopsy", "Cataract", "Injection", "Laser")
CUSTOM_STATUSES = ("Checked Out", "Roomed", "Online Appt", "Ready for Billing")
PATIENT_TYPES = ("Insurance Patient", "Cosmetic", "Medicare", "Deceased", "Moved")
