function validationSection() {}
